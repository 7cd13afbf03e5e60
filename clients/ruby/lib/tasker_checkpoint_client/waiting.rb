# frozen_string_literal: true

require_relative "errors"
require_relative "statement"

module TaskerCheckpointClient
  # Wakes whoever waits, for good; can be rung from a signal handler.
  class Bell # :nodoc:
    attr_reader :io

    def initialize
      @io, @ringer = IO.pipe
    end

    def ring
      @ringer.write_nonblock("!", exception: false)
    end

    # Returns what is readable first, nil after so many seconds.
    def wait(seconds, *others)
      ready, = IO.select([@io, *others], nil, nil, seconds)
      ready
    end
  end

  # How the one that waits for work does it.
  class Waiting # :nodoc:
    # In the server at a time, in seconds.
    LONGEST = 20.0
    # One that takes longer has slept, in seconds.
    MOMENT = 0.005
    # Not allowed, not there, not under this pooler.
    IMPOSSIBLE = %w[42501 42883 0A000 25001].freeze
    private_constant :LONGEST, :MOMENT, :IMPOSSIBLE

    MODES = %i[server listen poll].freeze

    def initialize(mode, poll:, queues:, channel:, bell:, events:, name:)
      @mode = mode
      @poll = poll
      @queues = queues
      @channel = channel
      @bell = bell
      @events = events
      @name = name
      @slept = false
    end

    # Whether the last wait in the server did not return at once.
    def slept?
      @slept
    end

    # Until there may be something to claim, the bell rings, or for so many seconds.
    def wait(client, seconds)
      case @mode
      when :server then in_server(client, [seconds, LONGEST].min)
      when :listen then listen(client.connection, [seconds, @poll].min)
      when :poll then @bell.wait([seconds, @poll].min)
      end
    end

    # Before the connection is used for something else.
    def leave(connection)
      return unless @listening.equal?(connection)

      @listening = nil
      connection.exec("UNLISTEN #{connection.quote_ident(@channel)}")
      drain(connection)
    rescue PG::Error
      # whoever uses it next will see
    end

    private

    def in_server(client, seconds)
      began = now
      client.wait(seconds, queues: @queues, bell: @bell.io)
      @slept = now - began >= MOMENT
    rescue PG::QueryCanceled
      # statement_timeout: as good as the time being over
      @slept = true
    rescue PG::Error => e
      @slept = false
      raise unless IMPOSSIBLE.include?(Errors.sqlstate(e))

      @mode = :poll
      @events.emit("polling", worker: @name, error: e)
    end

    def now
      Process.clock_gettime(Process::CLOCK_MONOTONIC)
    end

    # What was offered before is looked for first.
    def listen(connection, seconds)
      if @listening.equal?(connection)
        ready = @bell.wait(seconds, connection.socket_io)
        connection.consume_input if ready&.include?(connection.socket_io)
        drain(connection)
      else
        connection.exec("LISTEN #{connection.quote_ident(@channel)}")
        @listening = connection
      end
    end

    def drain(connection)
      true while connection.notifies
    end
  end
end
