# frozen_string_literal: true

# Batch workers on the PostgreSQL extension tasker_checkpoint.
module TaskerCheckpointClient
  # Raised by a handler: try again after +delay+ seconds.  Of a handler that was
  # told to stop it is no failure: the step is handed back at once, and the run
  # does not count.
  class TransientError < StandardError
    attr_reader :delay

    def initialize(message = nil, delay: 0)
      super(message)
      @delay = delay
    end
  end

  # Raised by a handler: this step can't succeed, don't try again.
  class PermanentError < StandardError; end

  # The step has gone on elsewhere: stop and write nothing.  #cause is the
  # server's error, if it raised one.
  class Superseded < StandardError; end

  # The checkpoint is there, with an earlier try's rows.  Roll back and load.  A
  # sequence above that of the last receipt: a reply was lost, go on from what is
  # stored.  The same: the handler has stored one checkpoint twice, with
  # different rows.
  class StoredBefore < StandardError; end
end

require_relative "tasker_checkpoint_client/client"
require_relative "tasker_checkpoint_client/context"
require_relative "tasker_checkpoint_client/worker"
