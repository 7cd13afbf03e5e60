# frozen_string_literal: true

require_relative "errors"
require_relative "statement"
require_relative "transaction"

module TaskerCheckpointClient
  # The connection was lost, in whatever way that showed.
  class Disconnected < StandardError; end # :nodoc:

  # What an application does around its handlers, and when it tries again.
  class Policy # :nodoc:
    LONGEST_GROWN = 4 * 3600.0
    LONGEST = 24 * 3600.0
    private_constant :LONGEST_GROWN, :LONGEST

    attr_reader :on_start, :on_success, :on_transient_failure, :on_permanent_failure

    def initialize(on_start: nil, on_success: nil, on_transient_failure: nil, on_permanent_failure: nil,
                   retry_delay: 1)
      @on_start = on_start
      @on_success = on_success
      @on_transient_failure = on_transient_failure
      @on_permanent_failure = on_permanent_failure
      @retry_delay = retry_delay
    end

    # Seconds until the next try.
    def delay(context, error)
      delay = error.delay if error.is_a?(TransientError)
      delay ||= @retry_delay.respond_to?(:call) ? @retry_delay.call(context, error) : growing(context.deliveries)
      Float(delay).clamp(0.0, LONGEST)
    end

    private

    def growing(deliveries)
      [@retry_delay * (2.0**(deliveries - 1)), LONGEST_GROWN].min * (1 + (rand / 4))
    end
  end

  # How a run ended: +how+ is the event's name.
  Ending = Struct.new(:how, :result, :error)

  # From a claim to the step's end or return.
  class Run # :nodoc:
    # A handler's errors; the others are for the process.
    FAILURES = [StandardError, ScriptError, SystemStackError].freeze
    private_constant :FAILURES

    def initialize(context, client, policy, events, name)
      @context = context
      @client = client
      @connection = client.connection
      @policy = policy
      @events = events
      @began = Statement.now
      @about = { step: context.step_uuid, queue: context.queue, worker: name, deliveries: context.deliveries }
      context.on_save { emit("saved", **progress) }
    end

    def perform(handler)
      emit("claimed")
      emit("resumed", **progress) if @context.has_checkpoint?
      begin
        # claimed and not begun
        return interrupt if @context.stopping?

        @context.read
        fenced(@policy.on_start) { @context.heartbeat } if @policy.on_start
        settle(call(handler))
      rescue Superseded => e
        superseded(e)
      rescue *FAILURES => e
        fail_by(e)
      end
    end

    def ended(how, result: nil, error: nil, **fields)
      emit(how, **progress, seconds: Statement.now - @began, error: error, **fields)
      Ending.new(how.to_sym, result, error)
    end

    private

    # Only a handler is interrupted, never the loop.
    def call(handler)
      Thread.handle_interrupt(Interrupt => :immediate) { handler.call(@context) }
    end

    def settle(returned)
      raise TransactionError, "the handler left a transaction open" if Transaction.open?(@connection)
      return ended("yielded") if @context.yielded?
      return interrupt if @context.interrupted?

      result = @context.result(returned)
      fenced(@policy.on_success, result) { @client.complete(@context.event_id) }
      ended("completed", result: result)
    end

    # Hands the step back as if it had not been claimed.
    def interrupt(error = nil)
      fenced { @client.release(@context.fence, interrupted: true) }
      ended("interrupted", error: error)
    end

    def superseded(error)
      roll_back
      ended("superseded", error: error)
    end

    def fail_by(error)
      raise Disconnected, Errors.line(error) if Errors.lost?(@connection, error)

      roll_back
      return interrupt(error) if interruption?(error)

      permanent?(error) ? failed(error) : released(error)
    rescue Superseded => e
      superseded(e)
    rescue Disconnected
      raise
    rescue *FAILURES => e
      raise Disconnected, Errors.line(e) if Errors.lost?(@connection, e)

      roll_back
      # a callback has failed, or the server refuses: its lease has to run out
      ended("abandoned", level: Logger::ERROR, error: e)
    end

    def failed(error)
      fenced(@policy.on_permanent_failure, error) { @client.complete(@context.fence) }
      ended("failed", error: error)
    end

    def released(error)
      delay = @policy.delay(@context, error)
      fenced(@policy.on_transient_failure, error) { @client.release(@context.fence, delay: delay) }
      ended("released", error: error, delay: delay)
    end

    def permanent?(error)
      error.is_a?(PermanentError) || error.is_a?(LimitExceeded) || error.is_a?(StoredBefore)
    end

    # Whether the step goes on as if nothing had failed.  What was stored before
    # by a transaction whose reply was lost is gone on from; stored twice by the
    # handler it is a failure.
    def interruption?(error)
      return @client.load(@context.step_uuid).sequence > @context.sequence if error.is_a?(StoredBefore)

      error.is_a?(TransientError) && @context.stopping?
    end

    # Calls back in one transaction with the fence, which must hold.  The
    # callback comes first: it locks the step, and writers of checkpoints lock
    # the step before its event.
    def fenced(callback = nil, *values, &fence)
      return hold(&fence) unless callback

      held = false
      @context.transaction do
        callback.call(@context, *values)
        unless @connection.transaction_status == PG::PQTRANS_INTRANS
          raise TransactionError, "a callback ended the transaction that it was called in"
        end

        hold(&fence)
        held = true
      end
      # an object mapper may do that, and be silent about it
      raise TransactionError, "a callback had its transaction rolled back" unless held
    end

    def hold
      raise Superseded, "step #{@context.step_uuid} has gone on elsewhere" unless yield
    end

    def roll_back
      Transaction.roll_back(@connection)
    rescue PG::Error => e
      raise Disconnected, Errors.line(e)
    end

    def progress
      { sequence: @context.sequence, items: @context.items_processed, directive: @context.directive }
    end

    def emit(event, **fields)
      @events.emit(event, **@about, **fields)
    end
  end
end
