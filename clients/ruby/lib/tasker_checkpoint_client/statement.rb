# frozen_string_literal: true

require "pg"

module TaskerCheckpointClient
  # Statements of the loop's own, which are answered within a time or not at all.
  # libpq's asynchronous calls do that; an exception out of Timeout, in the middle
  # of a call, would leave the connection in a state that nobody knows.
  module Statement # :nodoc:
    # Above the longest wait in the server.
    DEADLINE = 35.0
    STRINGS = PG::TypeMapAllStrings.new

    module_function

    # Returns the last result; nil if the bell rings, which leaves the statement
    # running.
    def execute(connection, query, parameters, seconds: DEADLINE, bell: nil)
      connection.send_query_params(query, parameters, 0, STRINGS)
      ends = now + seconds
      last = nil
      loop do
        until connection.is_busy
          result = connection.get_result
          return last.check if result.nil?

          last = result
        end
        ready, = IO.select([connection.socket_io, bell].compact, nil, nil, [ends - now, 0].max)
        give_up(connection, seconds, cancel: bell.nil?) unless ready
        return if ready.include?(bell)

        connection.consume_input
      end
    end

    # Ends what a connection may be doing, and the connection; without waiting
    # for a server that does not answer.
    def abandon(connection)
      return if connection.finished?

      if connection.transaction_status == PG::PQTRANS_ACTIVE
        request = Thread.new { connection.cancel }
        request.report_on_exception = false
        request.join(1) || request.kill
      end
      connection.finish
    end

    # What waits ends with its connection; what waits for a lock may not.
    def give_up(connection, seconds, cancel:)
      cancel ? abandon(connection) : connection.finish
      raise PG::ConnectionBad.new("no reply within #{seconds.round} seconds", connection: connection)
    end

    def now
      Process.clock_gettime(Process::CLOCK_MONOTONIC)
    end
  end
end
