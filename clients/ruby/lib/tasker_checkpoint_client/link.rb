# frozen_string_literal: true

require_relative "client"
require_relative "errors"
require_relative "statement"

module TaskerCheckpointClient
  # Where connections come from, and where they go.
  class Source # :nodoc:
    # What makes a dead link show.  A connection string may have its own.
    KEEPALIVE = {
      keepalives_idle: 10, keepalives_interval: 5, keepalives_count: 3,
      tcp_user_timeout: 30_000, connect_timeout: 10
    }.freeze
    private_constant :KEEPALIVE

    # Whether any of its connections was of use.
    attr_accessor :worked

    def initialize(from, disconnect, name)
      @disconnect = disconnect
      if from.respond_to?(:call)
        @connect = from
      else
        @options = options(from, name)
        @connect = -> { PG.connect(**@options) }
      end
    end

    def connect
      @connect.call
    end

    # Gives a connection back; one that is busy, or in a transaction, ends here.
    def disconnect(connection)
      connection.finish unless connection.finished? || (@disconnect && idle?(connection))
      @disconnect&.call(connection)
    end

    # Whether trying again is of no use, as far as can be known.
    def refused?(error)
      return Errors.lasting?(error) if @options.nil? || Errors.sqlstate(error) || !said_by_server?(error)

      state = sqlstate_of_refusal
      !state.nil? && Errors.lasting_state?(state)
    end

    private

    def options(from, name)
      given = from.respond_to?(:to_hash) ? from.to_hash.transform_keys(&:to_sym) : parse(from)
      timeout = PG::Connection.conndefaults_hash[:connect_timeout]
      KEEPALIVE.merge(timeout ? { connect_timeout: timeout } : {})
               .merge(client_encoding: "UTF8", fallback_application_name: name).merge(given)
    end

    def parse(conninfo)
      PG::Connection.conninfo_parse(conninfo).to_h { |option| [option[:keyword].to_sym, option[:val]] }.compact
    end

    def idle?(connection)
      connection.transaction_status == PG::PQTRANS_IDLE
    end

    # Behind the severity, in whatever language, the server has two blanks.
    def said_by_server?(error)
      error.message.include?(":  ")
    end

    # Why the server refuses: libpq keeps that to itself, unless it is asked to
    # say nothing else.
    def sqlstate_of_refusal
      probe = PG::Connection.connect_start(**@options)
      probe.set_error_verbosity(PG::PQERRORS_SQLSTATE)
      status = PG::PGRES_POLLING_WRITING
      until [PG::PGRES_POLLING_OK, PG::PGRES_POLLING_FAILED].include?(status)
        io = [probe.socket_io]
        ready = status == PG::PGRES_POLLING_WRITING ? IO.select(nil, io, nil, 10) : IO.select(io, nil, nil, 10)
        return unless ready

        status = probe.connect_poll
      end
      probe.error_message.to_s[/:  ([0-9A-Z]{5})\s*\z/, 1]
    rescue PG::Error
      nil
    ensure
      probe&.finish unless probe&.finished?
    end
  end

  # A connection of the loop's, made again when it is lost.
  class Link # :nodoc:
    MIN_PAUSE = 0.1
    MAX_PAUSE = 5.0
    # How long one who was connected puts up with being refused.
    PATIENCE = 300.0

    attr_reader :connection

    # +pause+ waits for some seconds, or until there is no time to lose.
    def initialize(source, events, name:, schema:, patient: false, &pause)
      @source = source
      @events = events
      @name = name
      @schema = schema
      @patient = patient
      @pause = pause
      @failures = 0
    end

    def open?
      !@connection.nil?
    end

    # Yields a client, connecting if need be, and returns what the block does.
    # What fails for the time being is tried again by the caller, who gets nil
    # after a pause; else it is raised.
    def attempt
      connect unless open?
      result = yield @client
      @source.worked = true
      @failures = 0
      @refused_since = nil
      result
    rescue StandardError => e
      failed(e)
    end

    # Another client on the same connection, for whoever may take time.
    def client
      Client.new(@connection, schema: @schema)
    end

    def close
      connection = @connection
      @connection = @client = nil
      @source.disconnect(connection) if connection
    rescue StandardError => e
      @events.emit("connection lost", worker: @name, error: e)
    end

    # Ends it, whatever it is doing.
    def abandon
      Statement.abandon(@connection) if open?
      close
    end

    def lost(error)
      @events.emit("connection lost", worker: @name, error: error)
      close
    end

    private

    def connect
      @connection = @source.connect
      @client = Client.new(@connection, schema: @schema, deadline: Statement::DEADLINE)
      @events.emit("connected", worker: @name)
    end

    def failed(error)
      if open? && Errors.lost?(@connection, error)
        lost(error)
      else
        close
        raise error if refused_for_long?(error)

        @events.emit("could not connect", worker: @name, error: error)
      end
      @failures += 1
      @pause.call([MIN_PAUSE * (2**[@failures - 1, 10].min), MAX_PAUSE].min)
      nil
    end

    def refused_for_long?(error)
      return false if @patient

      unless @source.refused?(error)
        @refused_since = nil
        return false
      end

      @refused_since ||= Statement.now
      !@source.worked || Statement.now - @refused_since > PATIENCE
    end
  end
end
