#!/bin/sh
# sh test/packages/ruby.sh
#
# The gem, built from a copy of its sources and installed into a fresh project, in
# which the README's program runs as it stands, and what it says of ActiveRecord.
#
# Packages: ruby, ruby-pg, ruby-activerecord, postgresql-client.

language=ruby
# shellcheck source=test/packages/lib/package.sh
. test/packages/lib/package.sh

build()
{
	cp -R clients/ruby "$work/source" && cd "$work/source" &&
		gem build tasker_checkpoint_client.gemspec --output "$work/client.gem"
}

# Nothing but what is needed, and nothing missing.
contents()
{
	(cd clients/ruby && find lib CHANGELOG.md LICENSE README.md -type f | sort) >"$work/expected"
	gem specification "$work/client.gem" files |
		sed -n 's/^- //p' | sort | diff "$work/expected" -
}

version()
{
	same "$(gem specification "$work/client.gem" version | sed -n 's/^version: //p')" \
		"$(sed -n "s/^default_version = '\(.*\)'$/\1/p" tasker_checkpoint.control)"
}

# Without a warning, and not from the sources.
loads()
{
	[ -z "$(ruby -w -e 'require "tasker_checkpoint_client/testing"' 2>&1)" ] &&
		gem contents tasker_checkpoint_client | grep -q "^$GEM_HOME/gems/"
}

# What a worker can't do is said when it is made.
refused()
{
	for options in "concurrency: 0" "wait: :sometimes"; do
		ruby -e "require 'tasker_checkpoint_client'; TaskerCheckpointClient::Worker.new('', $options)" 2>&1 |
			grep -q "${options%%:*} .*(ArgumentError)" || return
	done
}

# It has nothing to say.
invoices()
{
	block ruby >"$work/project/worker.rb"
	cd "$work/project" && example ruby -w worker.rb 2>"$work/log" && same "$(cat "$work/log")" ''
}

active_record()
{
	block ruby ActiveRecord >"$work/project/snippet.rb" && cp test/packages/ruby/active_record.rb "$work/project" &&
		again && cd "$work/project" && ruby active_record.rb && invoiced
}

unset RUBYLIB RUBYOPT GEM_PATH
export GEM_HOME="$work/gems" HOME="$work"
mkdir "$work/project"

ok "gem builds" build
ok "gem has what is needed" contents
ok "gem has the extension's version" version
ok "gem installs" gem install --local --no-document "$work/client.gem"
ok "gem loads" loads
ok "options that can't be are refused" refused
ok "the README's tables are made" tables
ok "the README's program runs as it stands, each order has one invoice" invoices
ok "ActiveRecord" active_record
echo "1..$tests"
