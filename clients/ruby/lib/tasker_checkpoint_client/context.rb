# frozen_string_literal: true

module TaskerCheckpointClient
  # A claimed step, as its handler sees it.
  class Context
    attr_reader :step_uuid, :event_id, :checkpoint_cursor, :checkpoint_items_processed,
                :accumulated_results, :deliveries

    # Number of the last checkpoint, those of this run included.
    attr_reader :sequence

    def initialize(delivery, client, &stopping)
      @step_uuid = delivery.step_uuid
      @event_id = delivery.event_id
      @has_checkpoint = delivery.has_checkpoint
      @checkpoint_cursor = delivery.cursor
      @checkpoint_items_processed = delivery.items_processed
      @accumulated_results = delivery.accumulated_results
      @deliveries = delivery.deliveries
      @sequence = delivery.sequence
      @client = client
      @stopping = stopping
      @told_to_stop = false
      @yielded = false
    end

    # Whether there is where to resume: a cursor of 0 or nil is a checkpoint.
    def has_checkpoint?
      @has_checkpoint
    end

    # For the handler's own work.
    def connection
      @client.connection
    end

    # A transaction in which rows and checkpoint commit together, and so the rows
    # are written exactly once; write them first.
    def transaction(&work)
      before = @sequence, @yielded
      connection.transaction(&work)
    rescue StandardError
      # a COMMIT without a reply may as well have failed
      @sequence, @yielded = before
      raise
    end

    # Persists progress and offers the step to all workers; then return.
    def checkpoint_yield(cursor, items_processed, accumulated_results = nil)
      receipt = @client.checkpoint_yield(step_uuid, cursor, items_processed, accumulated_results,
                                         event_id: event_id)
      @yielded = true
      note(receipt)
    end

    # Persists progress and goes on.
    def checkpoint_save(cursor, items_processed, accumulated_results = nil)
      note(@client.checkpoint_save(step_uuid, cursor, items_processed, accumulated_results,
                                   event_id: event_id))
    end

    # Extends the lease, as the loop does anyway; false: stop.
    def heartbeat
      @client.heartbeat(event_id)
    end

    # Whether to yield at the next checkpoint: a signal came, an operator paused
    # or cancelled the step, or the claim is lost.
    def stop_requested?
      @told_to_stop || @stopping.call
    end

    def request_stop # :nodoc:
      @told_to_stop = true
    end

    def yielded? # :nodoc:
      @yielded
    end

    private

    def note(receipt)
      @sequence = receipt.sequence
      request_stop unless receipt.directive == "continue"
      receipt
    end
  end
end
