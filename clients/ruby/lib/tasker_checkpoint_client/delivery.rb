# frozen_string_literal: true

require "json"

require_relative "errors"

module TaskerCheckpointClient
  # What a worker gets for a checkpoint.  +replayed+: the call was done before;
  # what the transaction did after it was not.
  Receipt = Struct.new(:sequence, :event_id, :directive, :replayed)

  # Where to resume a step.  Without a checkpoint: nil, 0, nil, nil, 0.
  State = Struct.new(:has_checkpoint, :cursor, :items_processed, :accumulated_results,
                     :checkpointed_at, :sequence)

  # A row of the view tasker_checkpoint_progress; +eta+ is in seconds.
  Progress = Struct.new(:step_uuid, :task_uuid, :step_name, :task_name, :items_processed, :total,
                        :percent, :rate, :eta, :checkpointed_at, :sequence, :state, :worker,
                        :lease_until, :deliveries, :queue)

  # A claimed step, and where to resume it.  Cursor and results are parsed when
  # they are asked for, so that one that can't be does not fail the others.
  class Delivery
    attr_reader :event_id, :step_uuid, :items_processed, :sequence, :deliveries, :queue,
                :cursor_json # :nodoc:

    def initialize(row) # :nodoc:
      @event_id, @step_uuid, has_checkpoint, @cursor_json, items, @results_json, sequence,
        deliveries, @queue = row
      @has_checkpoint = has_checkpoint == "t"
      @items_processed = Integer(items)
      @sequence = Integer(sequence)
      @deliveries = Integer(deliveries)
    end

    def has_checkpoint?
      @has_checkpoint
    end

    def cursor
      Document.parse(@cursor_json)
    end

    def accumulated_results
      Document.parse(@results_json)
    end
  end

  # Cursors and results as they travel: as text, whatever type maps a connection
  # has, so that integers of any size, strings, objects and nil come back as they
  # were sent.
  module Document # :nodoc:
    # Text that is sent as it is.
    Raw = Struct.new(:text)

    module_function

    def dump(value)
      value.is_a?(Raw) ? value.text : JSON.generate(value, max_nesting: 0)
    end

    def parse(text)
      text && JSON.parse(text, max_nesting: false)
    rescue JSON::ParserError => e
      # whose message has the text
      raise Unreadable, "cursor or results can't be read (#{e.class})"
    end
  end
end
