# frozen_string_literal: true

require "logger"

require_relative "../tasker_checkpoint_client"

module TaskerCheckpointClient
  # For an application's tests: a step run to its end, as a worker would, but by
  # itself and on the test's connection, which must not be in a transaction.
  module Testing
    # A checkpoint that was stored.
    Checkpoint = Struct.new(:sequence, :cursor, :items_processed, :accumulated_results)

    # How a step ended: :completed, :failed, :released, :interrupted, :superseded,
    # :yielded (if it was stopped), :abandoned, :crashed.
    Outcome = Struct.new(:how, :result, :error, :checkpoints, :runs)

    # What kill -9 is to a worker, to a handler.
    class Crash < Exception; end # rubocop:disable Lint/InheritException

    module_function

    # Dispatches the step if need be, claims it and no other, and runs it, again
    # after each yield.
    #
    # stop_at::  stop_requested? is true from the checkpoint of that number on
    # crash_at:: the transaction of the checkpoint of that number is rolled back,
    #            and the step left to its lease
    #
    # The other options are those of Worker.new.
    def run_step(connection, step_uuid, handler = nil, stop_at: nil, crash_at: nil, name: "test", lease: 60,
                 schema: nil, transaction: nil, logger: Logger.new(nil), observe: nil, **policy, &block)
      client = Client.new(connection, schema: schema)
      policy = Policy.new(**policy)
      events = Events.new(logger: logger, observe: observe)
      checkpoints = []
      1.step do |runs|
        delivery = claim(client, name, lease, step_uuid)
        context = Rehearsal.new(delivery, client, checkpoints, stop_at, crash_at, transaction)
        ending = perform(Run.new(context, client, policy, events, name), handler || block, connection)
        next if ending.how == :yielded && !context.stopping?

        return Outcome.new(ending.how, ending.result, ending.error, checkpoints, runs)
      end
    end

    # Makes a claim's lease run out, as the owner of the extension's tables.
    def expire_lease(connection, step_uuid, schema: nil)
      prefix = schema ? "#{connection.quote_ident(schema)}." : ""
      connection.exec_params(
        "UPDATE #{prefix}tasker_checkpoint_events SET lease_until = clock_timestamp(), " \
        "available_at = least(available_at, clock_timestamp()) " \
        "WHERE step_uuid = $1 AND worker IS NOT NULL", [step_uuid]
      ).cmd_tuples == 1
    end

    def claim(client, name, lease, step_uuid)
      client.dispatch(step_uuid)
      client.claim(name, lease: lease, step_uuid: step_uuid).first or
        raise ArgumentError, "step #{step_uuid} can't be claimed: it is claimed, paused, cancelled or parked"
    end

    def perform(run, handler, connection)
      run.perform(handler)
    rescue Crash => e
      Transaction.roll_back(connection)
      Ending.new(:crashed, nil, e)
    end

    private_class_method :claim, :perform

    # A context that keeps what is stored, and stops or crashes when it is to.
    class Rehearsal < Context # :nodoc:
      def initialize(delivery, client, checkpoints, stop_at, crash_at, transaction)
        super(delivery, client, transaction: transaction) { stop_at && checkpoints.size >= stop_at }
        @checkpoints = checkpoints
        @crash_at = crash_at
      end

      def transaction
        before = @checkpoints.size
        super
      rescue Exception # rubocop:disable Lint/RescueException
        @checkpoints.slice!(before..)
        raise
      end

      private

      def store(function, cursor, items_processed, results)
        raise Crash, "at checkpoint #{@crash_at}" if @checkpoints.size + 1 == @crash_at

        receipt = super
        cursor = Document.parse(cursor.text) if cursor.is_a?(Document::Raw)
        # as it is now: a handler may go on with the same object
        results = Document.parse(Document.dump(results))
        @checkpoints << Checkpoint.new(receipt.sequence, cursor, items_processed, results)
        receipt
      end
    end
    private_constant :Rehearsal
  end
end
