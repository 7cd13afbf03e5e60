# frozen_string_literal: true

require_relative "context"
require_relative "link"
require_relative "run"

module TaskerCheckpointClient
  # A place for one run at a time.
  class Slot # :nodoc:
    def initialize(worker, link)
      @worker = worker
      @link = link
    end

    # Until the worker stops.
    def run
      @thread = Thread.current
      # a second SIGINT is for handlers
      Thread.handle_interrupt(Interrupt => :never) do
        while (delivery = take)
          @worker.occupied { perform(delivery) }
        end
      end
    ensure
      # a wait under way ends with its connection
      @link.close
    end

    # Ends the handler; called by a signal handler.
    def interrupt
      @thread&.raise(Interrupt, "")
    end

    private

    # The next step; nil: none, since the worker stops.  Who has just worked looks
    # by itself, unless nothing was left when it last waited; else one waits for all,
    # on the only connection.
    def take
      delivery = look if @link.open? && !@worker.waiting.slept?
      delivery || in_turn { wait }
    end

    def in_turn
      unless @worker.turn.try_lock
        @link.close
        @worker.turn.lock
      end
      yield
    ensure
      @worker.turn.unlock if @worker.turn.owned?
    end

    def wait
      looked = @link.open?
      until @worker.stopping?
        pause = @worker.time_left or break
        @link.attempt { |client| @worker.waiting.wait(client, pause) } if looked
        delivery = look and return delivery
        looked = @link.open?
      end
    end

    def look
      return if @worker.stopping?

      delivery = @link.attempt do |client|
        client.claim(@worker.name, lease: @worker.lease, queues: @worker.queues).first
      end
      @worker.waiting.leave(@link.connection) if delivery
      delivery
    end

    def perform(delivery)
      client = @link.client
      context = Context.new(delivery, client, transaction: @worker.transaction) { @worker.stopping? }
      run = Run.new(context, client, @worker.policy, @worker.events, @worker.name)
      @worker.heart.hold(context) { run.perform(@worker.handler(delivery.queue)) }
    rescue Disconnected => e
      run.ended("abandoned", error: e.cause || e)
      @link.lost(e.cause || e)
      hand_back(context.event_id)
    rescue Exception => e # rubocop:disable Lint/RescueException
      # the process ends: what it was doing nobody knows
      @link.abandon
      hand_back(context.event_id, interrupted: true)
      run.ended("interrupted", error: e)
      raise
    end

    # Hands back what a lost connection left, if it was not finished.  Its backend
    # may not have noticed yet and still lock it: then the lease has to run out.
    def hand_back(event_id, interrupted: false)
      until @link.attempt { |client| release(client, event_id, interrupted) }
        break if @worker.stopping?
      end
    end

    def release(client, event_id, interrupted)
      Transaction.run(client.connection) do
        client.connection.exec("SET LOCAL lock_timeout = '1s'")
        client.release(event_id, interrupted: interrupted)
      end
      true
    rescue PG::LockNotAvailable
      true
    end
  end
end
