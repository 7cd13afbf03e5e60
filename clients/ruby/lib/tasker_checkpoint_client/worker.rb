# frozen_string_literal: true

require "logger"
require "socket"

require_relative "companion"

module TaskerCheckpointClient
  # Claims steps and runs a handler for each.
  #
  #   worker = TaskerCheckpointClient::Worker.new("dbname=app",
  #     on_success: ->(context, results) { store(context, results) })
  #   worker.run do |context|
  #     start = context.has_checkpoint? ? context.checkpoint_cursor : 0
  #     ...
  #     next context.checkpoint_yield(cursor, items, results) if more_to_do
  #     results
  #   end
  #
  # conninfo::    libpq's connection string, or a URL
  # name::        of this worker, for those who look
  # lease::       seconds until another worker may take over from a dead one
  # listen::      false: poll only, as behind a transaction-pooling proxy
  # poll::        seconds between looks for work nobody was woken for
  # max_steps::   claimed at once; they are run one after the other
  # retry_delay:: seconds before a step is tried again whose handler raised
  #               anything but TransientError
  #
  # Callbacks run in one transaction with the fence, so what they write is
  # dropped if the step has gone on elsewhere: on_start before the handler,
  # on_success and on_permanent_failure together with the step's completion,
  # on_transient_failure together with its release.
  class Worker
    MAX_POLL = 5.0
    MIN_BACKOFF = 0.1
    MAX_BACKOFF = 5.0

    # The connection was lost, in whatever way that showed.
    class Disconnected < StandardError; end
    private_constant :Disconnected

    attr_reader :name

    def initialize(conninfo = "", name: nil, lease: 60, listen: true, poll: nil, max_steps: 1,
                   retry_delay: 1, channel: "tasker_checkpoint", schema: nil, logger: nil,
                   on_start: nil, on_success: nil, on_transient_failure: nil,
                   on_permanent_failure: nil)
      @conninfo = conninfo
      @name = name || "#{Socket.gethostname}:#{Process.pid}"
      @lease = lease
      @channel = listen ? channel : nil
      @poll = poll || [lease / 2.0, MAX_POLL].min
      @max_steps = max_steps
      @retry_delay = retry_delay
      @schema = schema
      @logger = logger || Logger.new($stderr, level: Logger::WARN)
      @on_start = on_start
      @on_success = on_success
      @on_transient_failure = on_transient_failure
      @on_permanent_failure = on_permanent_failure
      @bell = Bell.new
      @stopping = false
      @unfinished = []
    end

    # Ends run after the current handler; also from a signal handler.
    def stop
      @stopping = true
      @bell.ring
    end

    # Works until SIGTERM, SIGINT or stop, or idle for so many seconds.  Signals
    # are caught in the main thread only.
    def run(exit_when_idle: nil, &handler)
      companion = Companion.new(channel: @channel, interval: @lease / 3.0, logger: @logger,
                                connect: method(:connect), woken: @bell.method(:ring))
      signals = Thread.current == Thread.main ? %w[TERM INT] : []
      trapped = signals.to_h { |signal| [signal, trap(signal) { stop }] }
      loop_until_stopped(companion, exit_when_idle, &handler)
    ensure
      trapped&.each { |signal, action| trap(signal, action || "DEFAULT") }
      companion&.finish
    end

    private

    def loop_until_stopped(companion, exit_when_idle, &handler)
      backoff = MIN_BACKOFF
      idle_since = now
      client = nil
      until @stopping
        begin
          client ||= connect
          backoff = MIN_BACKOFF
          if work(client, companion, &handler)
            idle_since = now
            next
          end
          pause = @poll
        rescue PG::Error, Disconnected => e
          raise unless client.nil? || e.is_a?(Disconnected) || lost?(client.connection, e)

          @logger.warn("connection lost: #{e.message.strip}")
          disconnect(client)
          client = nil
          pause = backoff
          backoff = [backoff * 2, MAX_BACKOFF].min
        end
        if exit_when_idle
          left = idle_since + exit_when_idle - now
          break if left <= 0

          pause = [pause, left].min
        end
        @bell.wait(pause)
      end
    ensure
      disconnect(client)
    end

    def connect
      connection = PG.connect(@conninfo, client_encoding: "UTF8", fallback_application_name: @name)
      Client.new(connection, schema: @schema)
    end

    def disconnect(client)
      client.connection.finish if client && !client.connection.finished?
    end

    def lost?(connection, error)
      connection.finished? || connection.status != PG::CONNECTION_OK ||
        error.is_a?(PG::ConnectionBad) || error.is_a?(PG::UnableToSend) ||
        (error.respond_to?(:result) &&
         error.result&.error_field(PG::PG_DIAG_SQLSTATE).to_s.start_with?("57P", "08"))
    end

    # Hands back what a lost connection left, if it was not finished.  Its backend
    # may not have noticed yet and still lock it: then the lease has to run out.
    def release_unfinished(client, event_id)
      client.connection.transaction do |connection|
        connection.exec("SET LOCAL lock_timeout = '1s'")
        client.release(event_id)
      end
    rescue PG::LockNotAvailable => e
      @logger.warn("could not release: #{e.message}")
    end

    # Claims and runs; returns whether there was anything to do.
    def work(client, companion, &handler)
      until @unfinished.empty?
        release_unfinished(client, @unfinished.last)
        @unfinished.pop
      end

      contexts = client.claim(name, lease: @lease, max_steps: @max_steps)
                       .map { |delivery| Context.new(delivery, client) { @stopping } }
      @unfinished = contexts.map(&:event_id)
      contexts.each { |context| companion.hold(context) }
      contexts.each do |context|
        @stopping ? client.release(context.event_id, interrupted: true) : run_step(context, client, &handler)
        companion.drop(context)
        @unfinished.delete(context.event_id)
      end
      contexts.any?
    ensure
      contexts&.each { |context| companion.drop(context) }
    end

    def run_step(context, client, &handler)
      run_handler(context, client, &handler)
    rescue Superseded
      @logger.info("step #{context.step_uuid}: superseded")
    rescue StandardError => e
      raise Disconnected, e.message if lost?(client.connection, e)

      @logger.error("step #{context.step_uuid}: left to its lease: #{e.class}: #{e.message}")
    ensure
      roll_back(client.connection)
    end

    def run_handler(context, client)
      fenced(client, context, @on_start) { context.heartbeat }
      result = yield context
    rescue Superseded
      raise
    rescue StandardError => e
      raise if lost?(client.connection, e)

      @logger.warn("step #{context.step_uuid}: #{e.class}: #{e.message}")
      return client.release(context.event_id, interrupted: true) if interruption?(client, context, e)

      if e.is_a?(PermanentError) || e.is_a?(StoredBefore)
        return fenced(client, context, @on_permanent_failure, e) { client.complete(context.event_id) }
      end

      delay = e.is_a?(TransientError) ? e.delay : @retry_delay
      fenced(client, context, @on_transient_failure, e) { client.release(context.event_id, delay: delay) }
    else
      return if context.yielded?

      fenced(client, context, @on_success, result) { client.complete(context.event_id) }
    end

    # Whether the step goes on as if nothing had failed.  What was stored before
    # by a transaction whose reply was lost is gone on from; stored twice by the
    # handler it is a failure.
    def interruption?(client, context, error)
      roll_back(client.connection)
      return client.load(context.step_uuid).sequence > context.sequence if error.is_a?(StoredBefore)

      error.is_a?(TransientError) && context.stop_requested?
    end

    # Calls back in one transaction with the fence, which must hold.  The
    # callback comes first: it locks the step, and writers of checkpoints lock
    # the step before its event.
    def fenced(client, context, callback, *values)
      roll_back(client.connection)
      client.connection.transaction do
        callback&.call(context, *values)
        raise Superseded, "step #{context.step_uuid} has gone on elsewhere" unless yield
      end
    end

    # Ends a transaction that a handler left open.
    def roll_back(connection)
      return if connection.finished? || connection.status != PG::CONNECTION_OK ||
                connection.transaction_status == PG::PQTRANS_IDLE

      connection.exec("ROLLBACK")
    end

    def now
      Process.clock_gettime(Process::CLOCK_MONOTONIC)
    end
  end
end
