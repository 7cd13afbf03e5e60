# frozen_string_literal: true

require_relative "statement"

module TaskerCheckpointClient
  # Extends the leases of runs that are longer than a third of theirs, on a
  # connection that is there as long as there are such.
  class Heart # :nodoc:
    def initialize(lease, &link)
      @interval = lease / 3.0
      @new_link = link
      @lock = Mutex.new
      @changed = ConditionVariable.new
      @held = {}
    end

    # From now on, until the block is over.
    def hold(context)
      @lock.synchronize do
        @held[context] = Statement.now + @interval
        @thread ||= Thread.new { run }
        @changed.signal
      end
      yield
    ensure
      @lock.synchronize do
        @held.delete(context)
        @changed.signal
      end
    end

    # A heartbeat under way is not waited for.
    def finish
      thread = @lock.synchronize do
        @finished = true
        @changed.signal
        @thread
      end
      thread&.join(1) || thread&.kill
    end

    private

    def run
      Thread.current.name = "tasker_checkpoint heart"
      link = @new_link.call { |seconds| sleep([seconds, @interval].min) }
      while (context = due(link))
        link.attempt do |client|
          context.request_stop unless client.heartbeat(context.event_id)
          again(context)
        end
      end
    ensure
      link.close
    end

    # Waits for the next heartbeat.
    def due(link)
      @lock.synchronize do
        until @finished
          link.close if @held.empty?
          context, time = @held.min_by(&:last)
          return context if time && time <= Statement.now

          @changed.wait(@lock, time && (time - Statement.now))
        end
      end
    end

    def again(context)
      @lock.synchronize { @held[context] = Statement.now + @interval if @held.key?(context) }
    end
  end
end
