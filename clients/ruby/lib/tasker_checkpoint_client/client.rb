# frozen_string_literal: true

require_relative "delivery"
require_relative "errors"
require_relative "statement"

module TaskerCheckpointClient
  # The extension's functions, one method each, on an open connection and in its
  # transaction.
  #
  # A cursor or results may be anything that JSON can write.  Delays and leases
  # are seconds.
  class Client
    attr_reader :connection

    # +schema+ is needed only if the search_path does not lead to the extension.
    # With a deadline in seconds a connection that does not answer is closed.
    def initialize(connection, schema: nil, deadline: nil)
      @connection = connection
      @prefix = schema ? "#{connection.quote_ident(schema)}." : ""
      @deadline = deadline
    end

    # Offers a step to the workers of a queue; nil if it is claimed or held back.
    def dispatch(step_uuid, queue: nil, priority: nil, delay: 0)
      value("dispatch($1, $2, $3, $4)", [step_uuid, queue, priority, interval(delay)])
    end

    # Takes up to +max_steps+ steps, or the given one, for +lease+ seconds.
    def claim(worker, lease: 60, max_steps: 1, step_uuid: nil, queues: nil)
      rows("claim($1, $2, $3, $4, $5)", [worker, interval(lease), max_steps, step_uuid, array(queues)],
           "event_id, step_uuid, has_checkpoint, cursor::text, items_processed, " \
           "accumulated_results::text, sequence, deliveries, queue").map { |row| Delivery.new(row) }
    end

    # Where to resume a step.
    def load(step_uuid)
      has_checkpoint, cursor, items, results, at, sequence =
        rows("load($1)", [step_uuid],
             "has_checkpoint, cursor::text, items_processed, accumulated_results::text, " \
             "extract(epoch FROM checkpointed_at), sequence").first
      State.new(has_checkpoint == "t", Document.parse(cursor), Integer(items), Document.parse(results),
                time(at), Integer(sequence)).freeze
    end

    # Persists a checkpoint and offers the step to the workers.
    def checkpoint_yield(step_uuid, cursor:, items_processed:, accumulated_results: nil, event_id: nil)
      store("yield", step_uuid, cursor, items_processed, accumulated_results, event_id)
    end

    # Persists a checkpoint and keeps the step.
    def checkpoint_save(step_uuid, cursor:, items_processed:, accumulated_results: nil, event_id: nil)
      store("save", step_uuid, cursor, items_processed, accumulated_results, event_id)
    end

    # Extends a claim, by its own lease unless told; false: it is not ours any more.
    def heartbeat(event_id, lease: nil)
      value("heartbeat($1, $2)", [event_id, lease && interval(lease)]) == "t"
    end

    # Ends the step's dispatch; false: it was not ours to end.
    def complete(event_id)
      value("complete($1)", [event_id]) == "t"
    end

    # Hands the step back, to be claimed after +delay+ seconds.  Interrupted: its
    # handler has not failed, and the claim does not count.
    def release(event_id, delay: 0, interrupted: false)
      value("release($1, $2, $3)", [event_id, interval(delay), interrupted]) == "t"
    end

    # For an operator: keeps the step from being claimed; its worker is told.
    # False: it was paused or cancelled.
    def pause(step_uuid)
      value("pause($1)", [step_uuid]) == "t"
    end

    # For an operator: lifts pause, cancel and parking; false: nothing to lift.
    def resume(step_uuid)
      value("resume($1)", [step_uuid]) == "t"
    end

    # For an operator: as pause, until resume; false: it was cancelled.
    def cancel(step_uuid)
      value("cancel($1)", [step_uuid]) == "t"
    end

    # For an operator: goes back to an earlier checkpoint, whose results are lost.
    def rewind(step_uuid, to_sequence, accumulated_results: nil)
      receipt("rewind($1, $2, $3::jsonb)", [step_uuid, to_sequence, optional(accumulated_results)])
    end

    # For an operator: how far a step is, or all that are under way.
    def progress(step_uuid = nil)
      rows("progress($1)", [step_uuid],
           "step_uuid, task_uuid, step_name, task_name, items_processed, total, percent, rate, " \
           "extract(epoch FROM eta), extract(epoch FROM checkpointed_at), sequence, state, worker, " \
           "extract(epoch FROM lease_until), deliveries, queue").map { |row| to_progress(row) }
    end

    # Sleeps in the server until there may be something to claim; nil if the bell
    # rang, which leaves the connection busy.
    def wait(seconds, queues: nil, bell: nil) # :nodoc:
      Statement.execute(connection, "CALL #{@prefix}tasker_checkpoint_wait($1, $2)",
                        [array(queues), interval(seconds)], seconds: seconds + Statement::DEADLINE - 20, bell: bell)
    end

    private

    def store(function, step_uuid, cursor, items_processed, results, event_id)
      receipt("#{function}($1, $2::jsonb, $3, $4::jsonb, $5)",
              [step_uuid, Document.dump(cursor), items_processed, optional(results), event_id])
    end

    def receipt(call, parameters)
      sequence, event, directive, replayed =
        rows(call, parameters, "sequence, event_id, directive, replayed").first
      Receipt.new(Integer(sequence), event, directive, replayed == "t").freeze
    end

    def value(call, parameters)
      rows(call, parameters, "*").first.first
    end

    def rows(call, parameters, columns)
      query = "SELECT #{columns} FROM #{@prefix}tasker_checkpoint_#{call}"
      texts = parameters.map { |parameter| parameter&.to_s }
      result = if @deadline
                 Statement.execute(connection, query, texts, seconds: @deadline)
               else
                 connection.exec_params(query, texts, 0, Statement::STRINGS)
               end
      result.map_types!(Statement::STRINGS).values
    rescue PG::Error => e
      raise Errors.named(e)
    end

    def to_progress(row)
      progress = Progress.new(*row)
      %i[items_processed total sequence deliveries].each { |name| progress[name] &&= Integer(progress[name]) }
      %i[percent rate eta].each { |name| progress[name] &&= Float(progress[name]) }
      %i[checkpointed_at lease_until].each { |name| progress[name] = time(progress[name]) }
      progress.freeze
    end

    def interval(seconds)
      format("%.6f seconds", seconds)
    end

    def array(texts)
      texts && PG::TextEncoder::Array.new.encode(texts)
    end

    def time(epoch)
      epoch && Time.at(Rational(epoch))
    end

    def optional(value)
      value.nil? ? nil : Document.dump(value)
    end
  end
end
