# frozen_string_literal: true

require "pg"

require_relative "errors"

module TaskerCheckpointClient
  # Transactions, which commit or say that they have not: the driver's own do
  # not notice a COMMIT that was a ROLLBACK, since an error was passed over.
  module Transaction # :nodoc:
    SAVEPOINT = "tasker_checkpoint_client"
    private_constant :SAVEPOINT

    module_function

    # Runs the block in a transaction, or, if one is open, in a savepoint.
    def run(connection, &work)
      if open?(connection)
        enclose(connection, "SAVEPOINT #{SAVEPOINT}", "RELEASE #{SAVEPOINT}",
                "ROLLBACK TO #{SAVEPOINT}; RELEASE #{SAVEPOINT}", &work)
      else
        enclose(connection, "BEGIN", "COMMIT", "ROLLBACK", &work)
      end
    end

    def open?(connection)
      ![PG::PQTRANS_IDLE, PG::PQTRANS_UNKNOWN].include?(connection.transaction_status)
    end

    # Ends what a handler has left open; returns whether there was something.
    def roll_back(connection)
      return false unless open?(connection)

      connection.exec("ROLLBACK")
      true
    end

    # Leaving the block by break or return is no failure, as with the driver's;
    # being killed is.
    def enclose(connection, first, last, undo)
      failed = false
      connection.exec(first)
      begin
        yield
      rescue Exception # rubocop:disable Lint/RescueException
        failed = true
        undo(connection, undo)
        raise
      ensure
        if Thread.current.status == "aborting"
          undo(connection, undo)
        elsif !failed
          commit(connection, last)
        end
      end
    end

    def commit(connection, last)
      return if !open?(connection) || connection.exec(last).cmd_status != "ROLLBACK"

      raise TransactionError, "the transaction was rolled back, since a statement had failed in it"
    end

    def undo(connection, undo)
      connection.cancel if connection.transaction_status == PG::PQTRANS_ACTIVE
      connection.exec(undo) if open?(connection)
    rescue PG::Error
      # what has failed is what counts; a transaction that is still there is seen later
    end
  end
end
