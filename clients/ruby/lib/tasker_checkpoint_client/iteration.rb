# frozen_string_literal: true

require "json"

require_relative "delivery"
require_relative "errors"
require_relative "statement"
require_relative "transaction"

module TaskerCheckpointClient
  # Batches of a SELECT.  The cursor is the key as JSON, and is sent back as text
  # of unknown type, which becomes the key's: so no digit of it gets lost.
  class Query # :nodoc:
    CURSOR = "tasker_checkpoint_cursor"
    # so that a key that is a float keeps all its digits, in this transaction
    EXACTLY = "(SELECT pg_catalog.set_config('extra_float_digits', '1', true)) IS NOT NULL"
    private_constant :CURSOR, :EXACTLY

    attr_reader :cursor

    def initialize(query, key, params, context)
      raise ArgumentError, "a query takes a key" unless key

      @query = query.sub(/[;\s]+\z/, "")
      @params = params
      @connection = context.connection
      @key = @connection.quote_ident(key.to_s)
      @cursor = Document::Raw.new(context.cursor_json) if context.has_checkpoint?
    end

    # The next items, as hashes.
    def next(number)
      result = @connection.exec_params(statement(number), @cursor ? [*@params, text] : @params)
      rows = result.to_a
      return rows if rows.empty?

      last = rows.map { |row| row.delete(CURSOR) }.last
      @cursor = Document::Raw.new(last || raise(PermanentError, "a key #{@key} is null"))
      rows
    ensure
      result&.clear
    end

    private

    def statement(number)
      "SELECT *, to_jsonb(#{@key})::text AS #{CURSOR} FROM (#{@query}\n) AS source " \
        "WHERE #{EXACTLY} #{"AND #{@key} > $#{@params.size + 1} " if @cursor}" \
        "ORDER BY #{@key} FETCH FIRST #{number} ROWS WITH TIES"
    end

    # What the key looks like as text.
    def text
      json = @cursor.text
      case json[0]
      when '"' then JSON.parse("[#{json}]").first
      when "{", "[", "n" then raise PermanentError, "the cursor is no key"
      else json
      end
    end
  end

  # Batches of a function.
  class Fetch # :nodoc:
    attr_reader :cursor

    def initialize(function, context)
      @function = function
      @cursor = context.checkpoint_cursor
    end

    def next(number)
      items, cursor = @function.call(@cursor, number)
      return [] if items.nil? || items.empty?

      @cursor = cursor
      items
    end
  end

  # A loop over batches, each of which is done exactly once.
  class Iteration # :nodoc:
    def initialize(context, source, every:, seconds:, total:, results:)
      @context = context
      @source = source
      @every = @number = every
      @seconds = seconds
      @total = total || total_so_far
      @results = results
      @done = context.items_processed
    end

    # Returns whether the source is exhausted.
    def run(&work)
      raise TransactionError, "iterate begins its own transactions" if Transaction.open?(@context.connection)

      until @context.stop_requested?
        began = Statement.now
        count = batch(&work) or return true
        resize(count, Statement.now - began)
        return false if @context.yielded?
      end
      false
    end

    private

    # Returns the number of items, nil if there were none.
    def batch
      count = false
      @context.transaction do
        items = @source.next(@number)
        whole { yield items } unless items.empty?
        @done += items.size
        keep unless items.empty?
        count = items.size.nonzero?
      end
      # an object mapper may do that, and be silent about it
      raise TransactionError, "a batch had its transaction rolled back" if count == false

      count
    end

    # What is left by break or return is not done; but the transaction around it,
    # the application's perhaps, would commit.
    def whole
      left = true
      yield
      left = false
    rescue Exception # rubocop:disable Lint/RescueException
      left = false
      raise
    ensure
      Transaction.roll_back(@context.connection) if left
    end

    def keep
      how = @context.stop_requested? ? :checkpoint_yield : :checkpoint_save
      @context.public_send(how, cursor: @source.cursor, items_processed: @done, accumulated_results: document)
    end

    def document
      results = @results.respond_to?(:call) ? @results.call : @results
      results = @context.accumulated_results if results.nil?
      @total ? { **(results || {}), "total_items" => @total } : results
    end

    def total_so_far
      results = @context.accumulated_results
      results["total_items"] if results.is_a?(Hash)
    end

    # Smaller in proportion if it took too long, else larger again.
    def resize(count, took)
      fitting = took.positive? ? (count * @seconds / took).to_i : @every
      @number = [[fitting, 1].max, count * 2, @every].min
    end
  end
end
