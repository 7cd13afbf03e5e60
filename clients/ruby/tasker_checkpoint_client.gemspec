# frozen_string_literal: true

Gem::Specification.new do |spec|
  spec.name = "tasker_checkpoint_client"
  spec.version = "1.0.0"
  spec.summary = "Batch workers on the PostgreSQL extension tasker_checkpoint"
  spec.description = "A run loop for batch handlers that persist their progress and are re-dispatched, " \
                     "and the extension's functions that workers call."
  spec.authors = ["tasker_checkpoint contributors"]
  spec.license = "PostgreSQL"
  spec.required_ruby_version = ">= 3.0"
  spec.files = Dir["lib/**/*.rb", "README.md"]
  spec.add_dependency "pg", ">= 1.4", "< 2"
end
