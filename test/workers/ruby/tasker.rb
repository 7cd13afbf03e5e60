# frozen_string_literal: true

# A batch handler as Tasker has them, and what it takes to run it here.
# docs/tasker.md shows the handler.

require "delegate"
require "json"

require "tasker_checkpoint_client"

# Tasker's: the context, and what the step's inputs say.
class BatchContext < SimpleDelegator
  attr_reader :start_cursor, :end_cursor, :metadata, :attempts

  def initialize(context)
    super
    row = context.connection.exec_params(
      "SELECT inputs::text, attempts FROM tasker.workflow_steps WHERE workflow_step_uuid = $1", [context.step_uuid]
    ).first
    inputs = JSON.parse(row["inputs"])
    @start_cursor, @end_cursor = inputs["cursor"].values_at("start_cursor", "end_cursor")
    @metadata = inputs["batch_metadata"]
    @attempts = Integer(row["attempts"])
  end
end

# What Tasker's handlers inherit; the context does the work.
class Batchable
  # So that the class is a handler for a worker.
  def self.call(context)
    new(context).call(context)
  end

  def initialize(context)
    @context = context
  end

  def get_batch_context(context) # rubocop:disable Naming/AccessorMethodName
    BatchContext.new(context)
  end

  def checkpoint_yield(cursor:, items_processed:, accumulated_results: nil)
    @context.checkpoint_yield(cursor: cursor, items_processed: items_processed,
                              accumulated_results: accumulated_results)
  end

  def batch_worker_success(items_processed:, results:, **)
    results.merge("total" => items_processed)
  end

  # Here that is raised.
  def failure(message:, retryable: true, **)
    raise TaskerCheckpointClient::PermanentError, message unless retryable

    raise TaskerCheckpointClient::TransientError, message
  end
end

class CountItems < Batchable
  def call(context)
    batch = get_batch_context(context)
    if batch.has_checkpoint?
      item = batch.checkpoint_cursor
      results = batch.accumulated_results
    else
      item = batch.start_cursor
      results = { "running_total" => 0, "item_ids" => [] }
    end
    done = batch.checkpoint_items_processed

    while item < batch.end_cursor
      error = process_item(batch, item, done)
      return failure(message: "told to fail", retryable: error == "transient") if error

      results["running_total"] += item + 1
      results["item_ids"] << "item_#{item.to_s.rjust(4, '0')}"
      item += 1
      done += 1
      next unless (done % batch.metadata["items_per_checkpoint"]).zero? && item < batch.end_cursor

      return checkpoint_yield(cursor: item, items_processed: done, accumulated_results: results)
    end

    batch_worker_success(items_processed: done, items_succeeded: done, results: results)
  end
end

class CountItems
  private

  # What it does with an item is the application's: a row, or a failure as the step says.
  def process_item(batch, item, done)
    told = batch.metadata
    if done == told["fail_after"] && ["always", batch.attempts].include?(told["fail_on_attempt"])
      return told["fail_permanently"] ? "permanent" : "transient"
    end

    batch.connection.exec_params("INSERT INTO applied VALUES ($1, $2, current_setting('application_name'))",
                                 [batch.step_uuid, item])
    nil
  end
end
