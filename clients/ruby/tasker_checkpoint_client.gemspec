# frozen_string_literal: true

require_relative "lib/tasker_checkpoint_client/version"

Gem::Specification.new do |spec|
  spec.name = "tasker_checkpoint_client"
  spec.version = TaskerCheckpointClient::VERSION
  spec.summary = "Batch workers on the PostgreSQL extension tasker_checkpoint"
  spec.description = "Claims steps, runs their handlers, stores their checkpoints in the transactions of their work: " \
                     "each row is done exactly once, whatever happens to the worker."
  spec.authors = ["tasker_checkpoint contributors"]
  spec.license = "PostgreSQL"
  spec.metadata = {
    "rubygems_mfa_required" => "true"
  }
  spec.required_ruby_version = ">= 3.1"
  spec.files = Dir["lib/**/*.rb", "CHANGELOG.md", "LICENSE", "README.md", base: __dir__]
  spec.add_dependency "logger", "~> 1.5"
  spec.add_dependency "pg", ">= 1.4", "< 2"
end
