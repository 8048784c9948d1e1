// Command daruma gets AI agents back on their feet.
//
//	daruma demo                  an agent falls five times and gets up, killed in the middle
//	daruma run AGENT --input …   start a run and work on it until it ends or waits for somebody
//	daruma runs | show | explain what runs there are, what one did, why it fell
//	daruma fork RUN --at 4/3 …   go on from an earlier step with something changed; no write twice
//	daruma export RUN | verify   a run as JSON lines or as a Go test; replay it
//	daruma resume [RUN]          go on with what a dead process left, or past a raised limit
//	daruma serve                 own the journal and perform every run, until interrupted
//	daruma approve | reject | answer | cancel
//	daruma budgets               what is spent, held and left of budgets; raise NAME USD
//	daruma fake SCRIPT           a model provider that fails on purpose
//	daruma lessons AGENT         what its runs have learned; --forget ID
//	daruma stats                 falls by signal, and how often thinking again helped
//	daruma bench recover         scripted falls: Daruma beside a bare loop
//	daruma config explain        every effective value and where it came from
//
// # Configuration
//
// daruma.yaml in the working directory, or --config, or DARUMA_CONFIG; then
// DARUMA_JOURNAL and DARUMA_GRACE; then flags. An empty file works. Unknown
// keys are refused with their line.
//
//	journal: daruma.db           # SQLite file; PATH.lock and PATH.sock stand beside it
//	# or postgres://user:${PGPASSWORD}@host/database?schema=daruma; ${NAME} is
//	# taken from the environment; PGPASSWORD and a passfile work without it
//	grace: 30s                   # how long a stop waits for calls in flight
//	degrade:                     # runs begin at another model or tool while the first is failing
//	  failures: 3                # in a row; then successes: 3, over: 30s at least, until it is well again
//	  force: other_model         # for drills: or other_tool, partial, static; full: never begin lower
//	models:
//	  primary:
//	    url: https://api.example/v1
//	    model: gpt-4o            # default: the name above
//	    key_env: API_KEY         # the variable that holds the key
//	    price: {input: 2.5, cached: 1.25, output: 10}   # dollars per million tokens; or free: true
//	    max_output: 4096
//	    window: 128000           # tokens; close to it, or past it, results are left out of the conversation
//	  second:
//	    dialect: anthropic       # or openai, which is the default
//	    model: claude-haiku-4-5
//	    key_env: ANTHROPIC_API_KEY
//	    extra: {thinking: {type: enabled, budget_tokens: 2048}}   # more fields of every request
//	  backup: {script: backup.txt, price: {free: true}}   # a fake provider's script instead of a url
//	tools:
//	  refund:
//	    url: http://127.0.0.1:9000/refund
//	    verify_url: http://127.0.0.1:9000/calls/{key}
//	    description: Refund an order
//	    schema: {type: object, required: [order], properties: {order: {type: string}}}
//	    effect: payment          # unsafe (default), read, idempotent, keyed, transactional, payment
//	    risk: high               # low, medium, high, critical; default by effect
//	    on_doubt: ask            # ask, verify, retry, abort
//	    capability: refunds
//	    alternatives: [refund_by_bank]
//	    replace_write: false     # let an alternative replace this writing tool
//	    repeat: replay           # an equal call again: replay the result, ask, allow; default by effect
//	    approve: false           # ask before every call
//	    timeout: 10s
//	    compensate:              # how a call is undone, see cancel --compensate
//	      tool: charge_again
//	      args: {order: "${args.order}", refund: "${result.id}"}   # or "${key}"; default: the same arguments
//	  refund_by_bank: {url: http://127.0.0.1:9000/bank, effect: payment, capability: refunds}
//	  charge_again: {url: http://127.0.0.1:9000/charge, effect: payment}
//	  research: {agent: researcher, description: Asks the researcher}   # each call is a sub-run
//	mcp:
//	  files:                     # an MCP server: a program, or url: for streamable HTTP
//	    command: ./bin/mcp-server-filesystem   # with a slash beside this file, else from PATH
//	    args: [notes]
//	    dir: .                   # working directory; default that of daruma
//	    env: {LEVEL: info}       # it gets these, PATH, HOME and the like; nothing else of ours
//	    env_from: {TOKEN: FILES_TOKEN}   # its TOKEN is the value of FILES_TOKEN here
//	    log: files.log           # its standard error, at most 2 MiB; default JOURNAL.mcp-files.log
//	    # of a url: headers: {}, headers_from: {NAME: VARIABLE}, token_env: VARIABLE
//	    prefix: files_           # in front of the names of its tools; default none
//	    allow: [read_text_file, write_file, edit_file]   # default all; deny: leaves some out
//	    optional: false          # let agents do without when it does not start
//	    trust_annotations: false # believe readOnlyHint and idempotentHint
//	    key_meta: idempotencyKey # field of _meta in which keys travel
//	    timeout: 30s             # of calls; start_timeout: 30s; protocol: 2025-11-25
//	    tools:                   # what its tools do; what is not said is unsafe
//	      read_text_file: {effect: read}
//	      write_file: {effect: idempotent, risk: medium}   # and on_doubt, capability … as above
//	      edit_file:
//	        on_doubt: verify
//	        verify: {tool: read_text_file, arguments: {path: "${args.path}"}, done: "${args.edits.0.newText}"}
//	      # key_argument: an argument in which the key travels; pin: refuse another definition
//	agents:
//	  desk:
//	    instructions: You handle refunds.
//	    models: [primary, backup]
//	    tools: [refund, refund_by_bank, charge_again, "files/*"]   # of an MCP server: SERVER/TOOL, or all
//	    profile: coding          # 200 steps, 2 hours; or one of profiles
//	    limits: {steps: 20, time: 5m, tokens: 100000, money: 0.50}   # with all sub-runs; depth: how deep they go
//	    lessons: 5               # of earlier runs, given to each new one; default none; see daruma lessons
//	    compact: results         # what may be left out: results of tools, the oldest first; or off
//	    ladder:
//	      tool_failed: [{remedy: retry, max: 2, first: 1s}, {remedy: escalate}]
//	      policy_denied: [{remedy: abort, compensate: true}]   # undo what was done, then end
//	    budget: team             # from which its model calls are paid, which all need a price; of a model as well
//	  researcher: {models: [second]}
//	budgets:
//	  team: {amount: 20, per: day, soft: 0.8}   # dollars; per day or month (UTC), or total, which is the default
//	limits: {}                   # for every agent
//	profiles: {}                 # named limits
//	ladder: {}                   # for every agent, by signal
//
// # Exit codes
//
//	0 done; the run completed (resume of all: each has ended or is parked)
//	1 the run failed, or something went wrong
//	2 bad usage or configuration; nothing was started
//	3 the run is parked: somebody must approve, answer or raise a limit
//	4 the run ended degraded: the answer lists what is missing
//	5 the run was cancelled
//	6 stopped before the run ended; it goes on with daruma resume
package main
