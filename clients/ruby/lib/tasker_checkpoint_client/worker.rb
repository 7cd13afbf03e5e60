# frozen_string_literal: true

require "logger"
require "socket"

require_relative "events"
require_relative "heart"
require_relative "slot"
require_relative "waiting"

module TaskerCheckpointClient
  # Claims steps and runs a handler for each.
  #
  #   worker = TaskerCheckpointClient::Worker.new("dbname=app", concurrency: 4)
  #   worker.run do |context|
  #     context.iterate("SELECT id FROM orders", key: "id") { |orders| … }
  #   end
  #
  # connections::  libpq's connection string, its options as a hash, or a
  #                function that returns a new PG::Connection
  # disconnect::   a function that takes it back; closes it unless told
  # name::         of this worker, for those who look
  # queues::       to claim from; all unless told
  # concurrency::  how many steps at a time, each in a thread
  # lease::        seconds until another worker may take over from a dead one
  # wait::         :server; :listen, for notifications on +channel+; or :poll
  # poll::         seconds between looks, unless the server wakes
  # retry_delay::  seconds before a step is tried again, doubling with each try,
  #                or a function of context and error
  # transaction::  a function that runs its block in a transaction, where the
  #                connections are an object mapper's
  # logger::       a Logger; warnings to stderr unless told
  # observe::      a function of an event's name and fields, for metrics
  #
  # Callbacks run in one transaction with the fence, so what they write is
  # dropped if the step has gone on elsewhere: on_start before the handler,
  # on_success and on_permanent_failure together with the step's completion,
  # on_transient_failure together with its release.
  class Worker
    MAX_POLL = 5.0
    private_constant :MAX_POLL

    attr_reader :name

    # What its slots need.
    attr_reader :lease, :queues, :transaction, :policy, :events, :waiting, :heart, :turn # :nodoc:

    def initialize(connections = "", disconnect: nil, name: nil, queues: nil, concurrency: 1, lease: 60,
                   wait: :server, poll: nil, channel: "tasker_checkpoint", schema: nil, transaction: nil,
                   logger: nil, observe: nil, **policy)
      raise ArgumentError, "concurrency must be at least 1" if concurrency < 1
      raise ArgumentError, "wait is one of #{Waiting::MODES.join(', ')}" unless Waiting::MODES.include?(wait)

      @name = name || "#{Socket.gethostname}:#{Process.pid}"
      @source = Source.new(connections, disconnect, @name)
      @queues = queues && Array(queues)
      @concurrency = concurrency
      @lease = lease
      @wait = wait
      @poll = poll || [lease / 2.0, MAX_POLL].min
      @channel = channel
      @schema = schema
      @transaction = transaction
      @policy = Policy.new(**policy)
      @events = Events.new(logger: logger || Logger.new($stderr, level: Logger::WARN), observe: observe)
      @bell = Bell.new
      @lock = Mutex.new
      @turn = Mutex.new
      @slots = []
      @stopping = false
    end

    # Ends run after the current handlers; also from a signal handler.
    def stop
      @stopping = true
      @bell.ring
    end

    # Works until SIGTERM, SIGINT or stop, or until idle for so many seconds.  A
    # second SIGINT ends the handlers; signals are caught in the main thread only.
    #
    # The handler is a block, an object with call, or a hash of such by the names
    # of their queues, which are then those to claim from.
    def run(handlers = nil, exit_when_idle: nil, &block)
      @handlers = handlers || block or raise ArgumentError, "no handler given"
      @queues = @handlers.keys.map(&:to_s) if @handlers.is_a?(Hash)
      @exit_when_idle = exit_when_idle
      prepare
      trapped = trap_signals
      # a signal handler may not log
      herald = Thread.new { @events.emit("stopping", worker: name) if @bell.wait(nil) }
      @concurrency == 1 ? @slots.first.run : run_threads
    ensure
      trapped&.each { |signal, action| trap(signal, action || "DEFAULT") }
      @heart&.finish
      @stopping ? herald&.join : herald&.kill
    end

    def stopping? # :nodoc:
      @stopping
    end

    def handler(queue) # :nodoc:
      return @handlers unless @handlers.is_a?(Hash)

      @handlers[queue] || @handlers.fetch(queue.to_sym)
    end

    # While a slot has a step.
    def occupied # :nodoc:
      @lock.synchronize { @busy += 1 }
      yield
    ensure
      @lock.synchronize do
        @busy -= 1
        @idle_since = Statement.now
      end
    end

    # How long to wait at most; nil: the worker ends, since it was idle for long.
    def time_left # :nodoc:
      return Float::INFINITY unless @exit_when_idle

      left = @lock.synchronize { @busy.zero? ? @idle_since + @exit_when_idle - Statement.now : @exit_when_idle }
      left if left.positive?
    end

    private

    def prepare
      @busy = 0
      @idle_since = Statement.now
      @waiting = Waiting.new(@wait, poll: @poll, queues: @queues, channel: @channel, bell: @bell, events: @events,
                                    name: name)
      @heart = Heart.new(@lease) { |&pause| link(patient: true, &pause) }
      @slots = Array.new(@concurrency) { Slot.new(self, link { |seconds| @bell.wait(seconds) }) }
    end

    def link(patient: false, &pause)
      Link.new(@source, @events, name: name, schema: @schema, patient: patient, &pause)
    end

    def trap_signals
      return {} unless Thread.current == Thread.main

      interrupts = 0
      { "TERM" => trap("TERM") { stop },
        "INT" => trap("INT") { (interrupts += 1) > 1 ? @slots.each(&:interrupt) : stop } }
    end

    # The first error ends all, and is raised.
    def run_threads
      errors = Queue.new
      threads = @slots.map do |slot|
        Thread.new do
          slot.run
        rescue Exception => e # rubocop:disable Lint/RescueException
          errors << e
          stop
        end
      end
      threads.each(&:join)
      raise errors.pop unless errors.empty?
    end
  end
end
