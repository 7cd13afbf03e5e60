# frozen_string_literal: true

module TaskerCheckpointClient
  # Wakes a thread; can be rung from a signal handler.
  class Bell # :nodoc:
    def initialize
      @listener, @ringer = IO.pipe
    end

    def ring
      @ringer.write_nonblock("!", exception: false)
    end

    # Returns those of the others that are readable.
    def wait(seconds, *others)
      ready, = IO.select([@listener, *others], nil, nil, [seconds, 0].max)
      return [] unless ready

      @listener.read_nonblock(1024, exception: false) if ready.include?(@listener)
      ready - [@listener]
    end

    def close
      @listener.close
      @ringer.close
    end
  end

  # A thread with a connection of its own, which extends the leases of the steps
  # held and listens for wake-ups.
  class Companion # :nodoc:
    def initialize(channel:, interval:, logger:, connect:, woken:)
      @channel = channel
      @interval = interval
      @logger = logger
      @connect = connect
      @woken = woken
      # replaced, never changed: the other thread reads it
      @held = [].freeze
      @bell = Bell.new
      @ended = false
      @thread = Thread.new { run }
      @thread.name = "tasker_checkpoint companion"
      @thread.abort_on_exception = true
    end

    def hold(context)
      @held = [*@held, context].freeze
    end

    def drop(context)
      @held = @held.reject { |held| held.equal?(context) }.freeze
    end

    def finish
      @ended = true
      @bell.ring
      @thread.join
      @bell.close
    end

    private

    def run
      backoff = Worker::MIN_BACKOFF
      until @ended
        begin
          client = @connect.call
          backoff = Worker::MIN_BACKOFF
          serve(client)
        rescue PG::Error, IOError, SystemCallError => e
          @logger.warn("companion connection lost: #{e.message.strip}")
          @bell.wait(backoff)
          backoff = [backoff * 2, @interval, Worker::MAX_BACKOFF].min
        ensure
          client&.connection&.finish unless client&.connection&.finished?
          client = nil
        end
      end
    end

    def serve(client)
      connection = client.connection
      if @channel
        connection.exec("LISTEN #{connection.quote_ident(@channel)}")
        @woken.call
      end
      beat_at = now
      until @ended
        rest = beat_at - now
        if rest <= 0
          @held.each { |context| context.request_stop unless client.heartbeat(context.event_id) }
          beat_at = now + @interval
        elsif @bell.wait(rest, connection.socket_io).any?
          connection.consume_input
        end
        @woken.call if notified?(connection)
      end
    end

    def notified?(connection)
      notified = false
      notified = true while connection.notifies
      notified
    end

    def now
      Process.clock_gettime(Process::CLOCK_MONOTONIC)
    end
  end
end
