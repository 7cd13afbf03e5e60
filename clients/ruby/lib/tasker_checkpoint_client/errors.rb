# frozen_string_literal: true

require "timeout"

require "pg"

module TaskerCheckpointClient
  # Raised by a handler: try again, after +delay+ seconds if it says so.  Of a
  # handler that was told to stop it is no failure: the step is handed back at
  # once, and the run does not count.
  class TransientError < StandardError
    attr_reader :delay

    def initialize(message = nil, delay: nil)
      super(message)
      @delay = delay
    end
  end

  # Raised by a handler: this step can't succeed, don't try again.
  class PermanentError < StandardError; end

  # A checkpoint after a yield: that was this run's last.
  class AlreadyYielded < StandardError; end

  # A handler or a callback left a transaction open, or ended one that was not
  # its own; or the transaction was rolled back where it was to be committed.
  class TransactionError < StandardError; end

  # A cursor or results that are no JSON for Ruby.
  class Unreadable < StandardError; end

  # What the server said of an error, besides the message.
  module Diagnostics
    def sqlstate
      result&.error_field(PG::PG_DIAG_SQLSTATE)
    end

    def detail
      result&.error_field(PG::PG_DIAG_MESSAGE_DETAIL)
    end

    def hint
      result&.error_field(PG::PG_DIAG_MESSAGE_HINT)
    end
  end

  # items_processed fell: it counts since the step began, in all its runs.
  class ItemsWentBackwards < PG::ServerError
    include Diagnostics
  end

  # The step has gone on elsewhere: let it pass, and write nothing.
  class Superseded < PG::ServerError
    include Diagnostics
  end

  # The checkpoint is there, with an earlier try's rows: let it pass.
  class StoredBefore < PG::ServerError
    include Diagnostics
  end

  # Cursor or results are too large; for good.
  class LimitExceeded < PG::ProgramLimitExceeded
    include Diagnostics
  end

  # There is no such step for this role.
  class StepNotFound < PG::NoDataFound
    include Diagnostics
  end

  # The step is processed, or there is no steps table.
  class WrongState < PG::ObjectNotInPrerequisiteState
    include Diagnostics
  end

  # Telling errors apart.
  module Errors # :nodoc:
    KNOWN = {
      "TC001" => ItemsWentBackwards, "TC002" => Superseded, "TC003" => StoredBefore,
      "54000" => LimitExceeded, "P0002" => StepNotFound, "55000" => WrongState
    }.freeze

    # States that pass by themselves: of connections, resources, shutdowns,
    # conflicts, a standby that is to be promoted.
    PASSING = /\A(08|25006|25P0[34]|40|53|55P03|57|58|XX)/
    LOST = /\A(08|57P|25P0[34])/
    private_constant :KNOWN, :PASSING, :LOST

    module_function

    # The same error by its name here, if it has one.
    def named(error)
      known = KNOWN[sqlstate(error)]
      known ? known.new(error.message.strip, connection: error.connection, result: error.result) : error
    end

    def sqlstate(error)
      driver = of_driver(error)
      driver.result&.error_field(PG::PG_DIAG_SQLSTATE) if driver
    end

    # Whether this connection is of no use any more, or what its transaction
    # has come to is not known.
    def lost?(connection, error)
      return true if connection.finished? || connection.status != PG::CONNECTION_OK

      driver = of_driver(error)
      driver && connection.equal?(driver.connection) &&
        (driver.is_a?(PG::ConnectionBad) || driver.is_a?(PG::UnableToSend) ||
         LOST.match?(sqlstate(driver).to_s))
    end

    # Whether trying again is of no use.
    def lasting?(error)
      state = sqlstate(error)
      return lasting_state?(state) if state

      [of_driver(error), error].none? do |each|
        case each
        when PG::Error, SystemCallError, IOError, SocketError, Timeout::Error then true
        end
      end
    end

    def lasting_state?(state)
      !PASSING.match?(state)
    end

    # In one line: class or SQLSTATE, and the message without its details.
    def line(error)
      state = sqlstate(error)
      driver = of_driver(error)
      message = state ? driver.result.error_field(PG::PG_DIAG_MESSAGE_PRIMARY) : error.message
      "#{state || error.class} #{message.to_s.strip.lines.first.to_s.strip}".strip
    end

    # The driver's error, which a mapper may have wrapped.
    def of_driver(error)
      error = error.cause until error.nil? || error.is_a?(PG::Error)
      error
    end
  end
end
