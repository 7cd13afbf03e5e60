# frozen_string_literal: true

module TaskerCheckpointClient
  VERSION = "1.0.0"
end
