# frozen_string_literal: true

# A Ruby whose JSON refuses integers of more than 200 digits.

require "json"

module Strict
  MAX_DIGITS = 200

  def parse(text, *rest, **options)
    raise JSON::ParserError, "too many digits" if text.match?(/\d{#{MAX_DIGITS + 1}}/o)

    super
  end
end
JSON.singleton_class.prepend(Strict)
