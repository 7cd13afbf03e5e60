# frozen_string_literal: true

# A worker on ActiveRecord's connections, as the README makes it. Run by ruby.sh,
# with the README's block in snippet.rb.

require "active_record"
require "tasker_checkpoint_client"

ActiveRecord::Base.establish_connection(adapter: "postgresql", database: "app", pool: 2)

class Invoice < ActiveRecord::Base
end

worker = eval(File.read("snippet.rb")) # rubocop:disable Security/Eval
failures = 1

worker.run(exit_when_idle: 2) do |context|
  context.iterate("SELECT id, amount FROM orders", key: "id", every: 4_000) do |orders|
    Invoice.insert_all!(orders.map { |order| { order_id: order["id"], amount: order["amount"] } })
    # with a batch written, which then must not be there
    if context.sequence == 2 && failures.positive?
      failures -= 1
      raise "told to fail"
    end
  end
end

abort("it has not failed") if failures.positive?
