# frozen_string_literal: true

# The worker program of the tests, in Ruby.
#
# What it does with a step is laid down in ../README.md and is the same in every
# language.

require "json"
require "logger"
require "optparse"

require "tasker_checkpoint_client"

require_relative "tasker"

FIRST_BIG_CURSOR = 2**53 + 1

# A step's items, and how far they are done.
class Batch
  def initialize(context, worker)
    @context = context
    @worker = worker
    read_step
    @unsaved = []
    @item = @start + context.checkpoint_items_processed
    @results = { "running_total" => 0, "item_ids" => [] }
    return unless context.has_checkpoint?

    @results = context.accumulated_results.reject { |key,| key == "total_items" }
    return if %w[iterate job].include?(@mode) || same_json?(context.checkpoint_cursor, cursor)

    raise TaskerCheckpointClient::PermanentError, "the cursor is not what was stored"
  end

  # Runs until the end, which returns results, or until a yield.
  def run
    raise "told to be unlucky" if @unlucky
    return send_checkpoint { keep(true) } if @stand_still
    return leave_open if @leave_open == @attempts
    return iterate if @mode == "iterate"
    return do_job if @mode == "job"
    return CountItems.call(@context) if @mode == "tasker"

    checkpoints = 0
    while @item < @end
      do_item
      apply_and_forget if @mode == "yield"
      more = @item < @end
      next if more && (done % @interval).nonzero?
      return go_on_after_yield if @after_yield

      if @mode == "save"
        checkpoints += 1
        stopping = more && (checkpoints == @yield_after || (stop_requested? && !@return_on_stop))
        apply_and_keep(stopping) if @store_twice
        send_checkpoint { apply_and_keep(stopping) }
        return if stopping
        return @results if more && @return_on_stop && stop_requested?
      elsif more
        return send_checkpoint { keep(true) }
      end
    end
    results
  end

  private

  def results
    @results.merge("total" => @end - @start)
  end

  def read_step
    row = @context.connection.exec_params(
      "SELECT inputs::text, attempts FROM tasker.workflow_steps WHERE workflow_step_uuid = $1",
      [@context.step_uuid]
    ).first
    inputs = JSON.parse(row["inputs"])
    metadata = inputs["batch_metadata"]
    @attempts = Integer(row["attempts"])
    @start = inputs["cursor"]["start_cursor"]
    @end = inputs["is_no_op"] ? @start : inputs["cursor"]["end_cursor"]
    @interval = metadata["items_per_checkpoint"]
    @item_delay = (metadata["item_delay_ms"] || 0) / 1000.0
    @key = metadata["key"] || "item"
    @after_yield = !@context.has_checkpoint? && metadata.slice("save_after_yield", "fail_after_yield").key(true)
    @mode, @cursor_kind, @fail_after, @fail_on_attempt, @fail_permanently, @repeat, @store_twice, @hand_back,
      @stand_still, @return_on_stop, @leave_open, @ignore_stop, @unlucky, @yield_after =
      metadata.values_at("mode", "cursor_kind", "fail_after", "fail_on_attempt", "fail_permanently", "repeat",
                         "store_twice", "hand_back", "stand_still", "return_on_stop", "leave_open", "ignore_stop",
                         "unlucky", "yield_after")
  end

  def stop_requested?
    !@ignore_stop && @context.stop_requested?
  end

  # Numbers of this step, batch by batch; where it is comes from the client.
  def iterate
    query = "SELECT n AS item, 1 + n * 2.220446049250313e-16::float8 AS near " \
            "FROM generate_series(#{@start}::bigint, #{@end} - 1) AS n"
    @context.iterate(query, key: @key, every: @interval, total: @end - @start, results: @results) do |rows|
      rows.each do |row|
        @item = Integer(row["item"])
        do_item
      end
      apply_and_forget
    end
    results
  end

  # Numbers of a table, a batch by one statement.
  def do_job
    @results = { "running_total" => @results["running_total"] }
    @context.iterate("SELECT n FROM numbers", key: "n", every: @interval, results: @results) do |rows|
      @unsaved = rows.map { |row| Integer(row["n"]) }
      @results["running_total"] += @unsaved.sum + @unsaved.size
      apply
    end
    @results
  end

  # Takes what is left for done, and forgets to commit.
  def leave_open
    @context.connection.exec("BEGIN")
    @unsaved = [*@item...@end]
    apply
    results
  end

  # The run is over, but the handler goes on.
  def go_on_after_yield
    @mode == "save" ? apply_and_keep(true) : keep(true)
    raise "told to fail after a yield" if @after_yield == "fail_after_yield"

    keep(false)
  end

  # Items done since the step's beginning.
  def done
    @item - @start
  end

  # Where to resume.
  def cursor
    case @cursor_kind
    when "integer" then @item
    when "token" then "tok-#{@item}"
    when "object" then { "at" => @item, "half" => -0.1 }
    when "null" then nil
    when "big" then FIRST_BIG_CURSOR + @item
    else raise TaskerCheckpointClient::PermanentError, "unknown kind of cursor: #{@cursor_kind}"
    end
  end

  # Compares as JSON does: 1, 1.0 and true are three values.
  def same_json?(left, right)
    left, right = [left, right].map { |value| value.is_a?(Hash) ? value.sort.to_h : value }
    JSON.generate(left) == JSON.generate(right)
  end

  # Does the next item, or fails as the step says.
  def do_item
    if done == @fail_after && ["always", @attempts].include?(@fail_on_attempt)
      raise TaskerCheckpointClient::PermanentError, "told to fail for good" if @fail_permanently

      raise TaskerCheckpointClient::TransientError.new("told to fail", delay: 0)
    end
    raise TaskerCheckpointClient::TransientError, "told to stop" if @hand_back && @context.stop_requested?

    IO.select(nil, nil, nil, @item_delay)
    @results["running_total"] += @item + 1
    @results["item_ids"] << format("item_%04d", @item)
    @unsaved << @item
    @item += 1
  end

  # Writes down the items done since this was last called.
  def apply
    @context.connection.exec_params("INSERT INTO applied SELECT $1, unnest($2::bigint[]), $3",
                                    [@context.step_uuid, "{#{@unsaved.join(',')}}", @worker])
  end

  def apply_and_forget
    apply
    @unsaved.clear
  end

  # Persists, and yields if it is to stop.
  def keep(stop)
    @context.public_send(stop ? :checkpoint_yield : :checkpoint_save,
                         cursor: cursor, items_processed: done, accumulated_results: @results)
  end

  # Rows and checkpoint in one transaction.
  def apply_and_keep(stop)
    @context.transaction do
      apply
      keep(stop)
    end
  end

  # Sends it, and once more if the reply was lost and it is told to.
  def send_checkpoint
    repeated = false
    begin
      receipt = yield
    rescue PG::TransactionResolutionUnknown
      raise if repeated || !@repeat

      repeated = true
      retry
    end
    raise TaskerCheckpointClient::PermanentError, receipt.inspect if receipt.replayed != repeated

    @unsaved.clear
    nil
  end
end

def update_step(context, assignments, *values)
  context.connection.exec_params(
    "UPDATE tasker.workflow_steps SET #{assignments}, updated_at = now() WHERE workflow_step_uuid = $1",
    [context.step_uuid, *values]
  )
end

def transition(context, state)
  context.connection.exec_params(
    "INSERT INTO tasker.workflow_step_transitions (workflow_step_uuid, to_state) VALUES ($1, $2)",
    [context.step_uuid, state]
  )
end

# Counts an attempt, unless the last one goes on.
def on_start(context)
  update_step(context, "attempts = coalesce(attempts, 0) + (NOT in_process)::integer, in_process = true")
end

def on_success(context, results)
  results = results.merge("checkpoints_used" => context.sequence)
  update_step(context, "results = $2::jsonb, processed = true, processed_at = now(), in_process = false",
              JSON.generate(results))
  transition(context, "complete")
end

# Lets the next attempt be one.
def on_transient_failure(context, _error)
  update_step(context, "in_process = false")
  transition(context, "waiting_for_retry")
end

# Leaves the step to be looked at.
def on_permanent_failure(context, _error)
  update_step(context, "in_process = false")
  transition(context, "error")
end

options = { lease: 60.0, wait: :server }
OptionParser.new do |parser|
  parser.on("--dsn CONNINFO")
  parser.on("--name NAME")
  parser.on("--poll-only") { options[:wait] = :poll }
  parser.on("--listen") { options[:wait] = :listen }
  parser.on("--lease SECONDS", Float)
  parser.on("--exit-when-idle SECONDS", Float)
  parser.on("--queues NAMES", Array)
  parser.on("--concurrency N", Integer)
  parser.on("--retry-delay SECONDS", Float) { |seconds| options[:retry_delay] = seconds }
end.parse!(into: options)
abort("--dsn and --name are required") unless options[:dsn] && options[:name]

TaskerCheckpointClient::Worker.new(
  options[:dsn],
  **options.slice(:name, :lease, :wait, :queues, :concurrency, :retry_delay),
  logger: Logger.new($stderr, level: Logger::INFO),
  on_start: method(:on_start),
  on_success: method(:on_success),
  on_transient_failure: method(:on_transient_failure),
  on_permanent_failure: method(:on_permanent_failure)
).run(exit_when_idle: options[:"exit-when-idle"]) { |context| Batch.new(context, options[:name]).run }
