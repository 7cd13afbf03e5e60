# frozen_string_literal: true

require_relative "errors"
require_relative "iteration"
require_relative "transaction"

module TaskerCheckpointClient
  # A claimed step, as its handler sees it.
  class Context
    # Number of the last checkpoint, and its items, those of this run included.
    attr_reader :sequence, :items_processed

    # "pause" or "cancel", if the last checkpoint's receipt said so.
    attr_reader :directive

    def initialize(delivery, client, transaction: nil, &stopping) # :nodoc:
      @delivery = delivery
      @client = client
      @application = transaction
      @stopping = stopping
      @sequence = delivery.sequence
      @items_processed = delivery.items_processed
      @own_transaction = @told = @saw_stop = @finished = false
    end

    def step_uuid
      @delivery.step_uuid
    end

    # The claim: the proof that nobody has taken the step meanwhile.
    def event_id
      @delivery.event_id
    end

    def queue
      @delivery.queue
    end

    # Claims since the step last got on, this one included.
    def deliveries
      @delivery.deliveries
    end

    # Whether there is where to resume: a cursor of 0 or nil is a checkpoint.
    def has_checkpoint?
      @delivery.has_checkpoint?
    end

    def checkpoint_cursor
      @cursor ||= @delivery.cursor
    end

    def checkpoint_items_processed
      @delivery.items_processed
    end

    def accumulated_results
      @results ||= @delivery.accumulated_results
    end

    # For the handler's own work.
    def connection
      @client.connection
    end

    # A transaction in which rows and checkpoint commit together, and so the rows
    # are written exactly once; write them first.  One in another is a savepoint.
    def transaction(&work)
      before = [@sequence, @items_processed, @continuation, @own_transaction]
      return @application.call(&work) if @application

      @own_transaction ||= !Transaction.open?(connection)
      Transaction.run(connection, &work)
    rescue Exception # rubocop:disable Lint/RescueException
      # a COMMIT without a reply may as well have failed
      @sequence, @items_processed, @continuation, = before
      raise
    ensure
      @own_transaction = before.last
    end

    # Persists progress and offers the step to all workers; then return.
    def checkpoint_yield(cursor:, items_processed:, accumulated_results: nil)
      receipt = store(:checkpoint_yield, cursor, items_processed, accumulated_results)
      @continuation = receipt.event_id
      @doubtful = Transaction.open?(connection) && !@own_transaction
      receipt
    end

    # Persists progress and goes on.
    def checkpoint_save(cursor:, items_processed:, accumulated_results: nil)
      receipt = store(:checkpoint_save, cursor, items_processed, accumulated_results)
      @told = @saw_stop = true if @directive
      @on_save&.call
      receipt
    end

    # Loops over an ordered source, a batch at a time, each in one transaction
    # with its checkpoint; once in a run, whose only checkpoints these are.
    # Returns the results, but for the total.
    #
    # source::  a SELECT, or a function of cursor (nil at first) and number of
    #           items, which returns items and the cursor after them, or nil
    # key::     of a SELECT: its column to go by, unique and not null
    # params::  of a SELECT: the values of its $1, $2, …
    # every::   items in a batch, at most
    # seconds:: that a batch is to take, at most
    # total::   number of items in all, for those who look
    # results:: partial ones; changed in the block, or a function of no arguments
    def iterate(source, key: nil, params: [], every: 1000, seconds: 10, total: nil, results: nil, &batch)
      # there is one cursor
      raise ArgumentError, "iterate comes before any checkpoint of a run" if @stored

      fetch = source.respond_to?(:call) ? Fetch.new(source, self) : Query.new(source, key, params, self)
      @finished = Iteration.new(self, fetch, every: every, seconds: seconds, total: total, results: results)
                           .run(&batch)
      results.respond_to?(:call) ? results.call : results
    end

    # Says that the step is done though a stop was requested; return after it.
    def finish(result = nil)
      @finished = true
      @result = result
    end

    # Extends the lease now, as the loop does anyway; false: stop.
    def heartbeat
      @client.heartbeat(event_id)
    end

    # Whether to yield, or to return, at the next checkpoint: a signal came, an
    # operator paused or cancelled the step, or the claim is lost.  Of a run that
    # was told so what its handler returns is no result.
    def stop_requested?
      stop = stopping?
      @saw_stop ||= stop
      stop
    end

    # What the loop needs besides.

    def stopping? # :nodoc:
      @told || @stopping.call
    end

    def request_stop # :nodoc:
      @told = true
    end

    def on_save(&action) # :nodoc:
      @on_save = action
    end

    # Where iterate resumes: the key, digit by digit.
    def cursor_json # :nodoc:
      @delivery.cursor_json
    end

    # Fails if something is there that can't be read.
    def read # :nodoc:
      checkpoint_cursor
      accumulated_results
    end

    def yielded? # :nodoc:
      settle_yield
      !@continuation.nil?
    end

    # The id by which the run ends.
    def fence # :nodoc:
      settle_yield
      @continuation || event_id
    end

    # Whether what the handler returns is not to be taken for a result.
    def interrupted? # :nodoc:
      @saw_stop && !@finished
    end

    def result(returned) # :nodoc:
      @result.nil? ? returned : @result
    end

    private

    def store(function, cursor, items_processed, results)
      raise AlreadyYielded, "step #{step_uuid} was already yielded by this run" if yielded?

      receipt = @client.public_send(function, step_uuid, cursor: cursor, items_processed: items_processed,
                                                         accumulated_results: results, event_id: event_id)
      @stored = true
      @sequence = receipt.sequence
      @items_processed = items_processed
      @directive = receipt.directive unless receipt.directive == "continue"
      receipt
    end

    # A yield in a transaction of the handler's own counts if that was committed,
    # which shows in whether the claim is gone.
    def settle_yield
      return unless @continuation && @doubtful
      return if connection.transaction_status == PG::PQTRANS_INERROR

      @continuation = nil if @client.heartbeat(event_id)
      @doubtful = Transaction.open?(connection)
    end
  end
end
