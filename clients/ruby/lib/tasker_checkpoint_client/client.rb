# frozen_string_literal: true

require "json"
require "pg"

module TaskerCheckpointClient
  # What a worker gets for a checkpoint.  +replayed+: the call was done before;
  # what the transaction did after it was not.
  Receipt = Struct.new(:sequence, :event_id, :directive, :replayed)

  # Where to resume a step.  Without a checkpoint: nil, 0, nil, 0.
  State = Struct.new(:has_checkpoint, :cursor, :items_processed, :accumulated_results, :sequence)

  # A claimed step, and where to resume it.
  Delivery = Struct.new(:event_id, :step_uuid, :has_checkpoint, :cursor,
                        :items_processed, :accumulated_results, :sequence,
                        :deliveries)

  # The functions that workers call, one method each, on an open connection and
  # in its transaction.
  #
  # A cursor or results may be anything that JSON can write.  They travel as
  # text, so integers of any size, strings, objects and nil come back as they
  # were sent, whatever type maps the connection has.
  class Client
    ERRORS = { "TC002" => Superseded, "TC003" => StoredBefore }.freeze
    STRINGS = PG::TypeMapAllStrings.new
    private_constant :ERRORS, :STRINGS

    attr_reader :connection

    # +schema+ is needed only if the search_path does not lead to the extension.
    def initialize(connection, schema: nil)
      @connection = connection
      @prefix = schema ? "#{connection.quote_ident(schema)}." : ""
    end

    # Offers a step to the workers; nil if it is claimed or stopped.
    def dispatch(step_uuid)
      value("dispatch($1)", [step_uuid])
    end

    # Takes up to +max_steps+ steps, or the given one, for +lease+ seconds.
    def claim(worker, lease: 60, max_steps: 1, step_uuid: nil)
      rows("claim($1, $2, $3, $4)", [worker, seconds(lease), max_steps, step_uuid],
           "event_id, step_uuid, has_checkpoint, cursor::text, items_processed, " \
           "accumulated_results::text, sequence, deliveries").map do |row|
        event_id, step, has_checkpoint, cursor, items, results, sequence, deliveries = row
        Delivery.new(event_id, step, has_checkpoint == "t", parse(cursor), Integer(items),
                     parse(results), Integer(sequence), Integer(deliveries)).freeze
      end
    end

    # Where to resume a step.
    def load(step_uuid)
      has_checkpoint, cursor, items, results, sequence =
        rows("load($1)", [step_uuid], "has_checkpoint, cursor::text, items_processed, " \
                                      "accumulated_results::text, sequence").first
      State.new(has_checkpoint == "t", parse(cursor), Integer(items), parse(results),
                Integer(sequence)).freeze
    end

    # Persists a checkpoint and offers the step to the workers.
    def checkpoint_yield(step_uuid, cursor, items_processed, accumulated_results = nil, event_id: nil)
      write("yield", step_uuid, cursor, items_processed, accumulated_results, event_id)
    end

    # Persists a checkpoint and keeps the step.
    def checkpoint_save(step_uuid, cursor, items_processed, accumulated_results = nil, event_id: nil)
      write("save", step_uuid, cursor, items_processed, accumulated_results, event_id)
    end

    # Extends a claim by its lease; false: it is not ours any more.
    def heartbeat(event_id)
      value("heartbeat($1)", [event_id]) == "t"
    end

    # Ends the step's dispatch; false: it was not ours to end.
    def complete(event_id)
      value("complete($1)", [event_id]) == "t"
    end

    # Hands the step back, to be claimed after +delay+ seconds.  Interrupted: its
    # handler has not failed, and the claim does not count.
    def release(event_id, delay: 0, interrupted: false)
      value("release($1, $2, $3)", [event_id, seconds(delay), interrupted]) == "t"
    end

    private

    def write(function, step_uuid, cursor, items_processed, results, event_id)
      sequence, event, directive, replayed =
        rows("#{function}($1, $2::jsonb, $3, $4::jsonb, $5)",
             [step_uuid, dump(cursor), items_processed, results.nil? ? nil : dump(results), event_id],
             "sequence, event_id, directive, replayed").first
      Receipt.new(Integer(sequence), event, directive, replayed == "t").freeze
    end

    def value(call, parameters)
      rows(call, parameters, "*").first.first
    end

    def rows(call, parameters, columns)
      query = "SELECT #{columns} FROM #{@prefix}tasker_checkpoint_#{call}"
      texts = parameters.map { |parameter| parameter&.to_s }
      connection.exec_params(query, texts, 0, STRINGS) { |result| result.map_types!(STRINGS).values }
    rescue PG::Error => e
      known = ERRORS[e.result&.error_field(PG::PG_DIAG_SQLSTATE)]
      raise unless known

      raise known, e.message.strip
    end

    def seconds(number)
      format("%.6f seconds", number)
    end

    def dump(value)
      JSON.generate(value, max_nesting: 0)
    end

    def parse(text)
      text && JSON.parse(text, max_nesting: false)
    end
  end
end
