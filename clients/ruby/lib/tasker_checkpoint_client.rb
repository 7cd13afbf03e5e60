# frozen_string_literal: true

# Batch workers on the PostgreSQL extension tasker_checkpoint.
#
# Worker claims steps and runs handlers, which get a Context; Client has the
# extension's functions one by one.
module TaskerCheckpointClient
end

require_relative "tasker_checkpoint_client/version"
require_relative "tasker_checkpoint_client/errors"
require_relative "tasker_checkpoint_client/client"
require_relative "tasker_checkpoint_client/context"
require_relative "tasker_checkpoint_client/worker"
