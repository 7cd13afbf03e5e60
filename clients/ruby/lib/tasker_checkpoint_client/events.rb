# frozen_string_literal: true

require "logger"

require_relative "errors"

module TaskerCheckpointClient
  # What happens, as log lines and for whoever observes.  Never a cursor or
  # results: they are the application's.
  class Events # :nodoc:
    KEYS = %i[step queue worker deliveries sequence items seconds delay directive error].freeze
    LEVELS = {
      "saved" => Logger::DEBUG, "connected" => Logger::DEBUG, "released" => Logger::WARN,
      "could not connect" => Logger::WARN, "connection lost" => Logger::WARN, "polling" => Logger::WARN,
      "failed" => Logger::ERROR
    }.freeze

    def initialize(logger:, observe: nil)
      @logger = logger
      @observe = observe
    end

    def emit(event, level: LEVELS.fetch(event, Logger::INFO), **fields)
      fields = KEYS.to_h { |key| [key, fields[key]] }.compact
      @logger.add(level) { line(event, fields) }
      @observe&.call(event, fields)
    rescue StandardError => e
      @logger.error { "observer: #{Errors.line(e)}" }
    end

    private

    def line(event, fields)
      [event, *fields.map { |key, value| "#{key}=#{text(key, value)}" }].join(" ")
    end

    def text(key, value)
      case key
      when :error then Errors.line(value)
      when :seconds, :delay then format("%.3f", value)
      else value
      end
    end
  end
end
