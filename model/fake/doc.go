// Package fake is a model provider and a set of tools that fail on purpose, as
// a script says. The same script plays in this process, as a
// [github.com/daruma-run/daruma/model.Provider], and as a real HTTP server
// that speaks OpenAI's chat completions and Anthropic's messages, so that an
// agent under Daruma, a bare loop and a program in another language all meet
// the same falls.
//
//	script, err := fake.Parse(text)
//	f := fake.New(script)
//	reply, err := model.Collect(f.Stream(ctx, &model.Request{Model: "primary", Messages: messages}))
//	result, err := f.Call(ctx, "refund", `{"order":"A-17"}`, "key-1")
//	err = f.Serve(ctx, listener) // or f.Handler()
//	fmt.Println(len(f.Ledger())) // refunds really paid
//
// # A script
//
// A script is text, one statement a line; a line that begins with # is a
// comment, indentation means nothing.
//
//	seed 7
//
//	model primary
//	  # once, before anything else
//	  fault 429 retry-after=200ms
//	  # Daruma told it what was wrong
//	  when note contains "refund_order"
//	    call refund {"order":"${result.lookup.order}","amount":"#{result.lookup.paid}"}
//	  when turn 1
//	    call lookup {"order":"A-17"}
//	  # there is no such tool
//	  when last tool lookup
//	    call refund_order {"order":"A-17"}
//	  when last tool refund contains "paid"
//	    say "Refunded ${last.paid} dollars."
//
//	model backup
//	  say "Backup speaking."
//
//	tool lookup effect=read
//	  description "Finds an order"
//	  schema {"type":"object","properties":{"order":{"type":"string"}},"required":["order"]}
//	  fault 503 times=2
//	  return {"order":"${args.order}","paid":12.5}
//
//	tool refund effect=payment risk=high dedupe verify
//	  schema {"type":"object","properties":{"order":{"type":"string"},"amount":{"type":"number"}},"required":["order","amount"]}
//	  # it is paid, but the answer does not arrive
//	  fault lost
//	  return {"refund":"R-${n}","paid":"#{args.amount}"}
//
// Statements outside of a model or tool: "seed N", "model NAME", "tool NAME
// ATTRIBUTE…". Everything below a model or tool belongs to it.
//
// # Rules
//
// A model and a tool have rules, tried from the top. "when CONDITION and
// CONDITION…" or "always" begins one; statements before the first of them
// belong to a rule that always holds. The first rule that holds and has
// something to say decides: its faults go first, each as often as it says, and
// then its answer. A rule whose faults are used up and that has no answer is
// passed over. Where no rule is left, the answer is status 400 with the code
// no_rule, saying what was asked.
//
// What a rule sees is the conversation in the request, so a resumed agent gets
// the same answer again. Only faults are counted: over all conversations, or
// for each by itself with "each" (conversations differ by their first user
// message).
//
// Conditions of models; texts match whatever their case, and "not" in front of
// any of them turns it round:
//
//	turn 2 | 2..4 | 2+ | odd | even      which answer is asked for: 1 + the model's messages so far
//	last contains "TEXT"                 in the last message
//	last user [contains "TEXT"]          the last message is the user's
//	last tool [NAME] [contains "TEXT"]   the last message is a result, of that tool
//	note contains "TEXT"                 in a user message behind the model's last one, the first user message excepted:
//	                                     a reflection or nudge of Daruma, an answer of a human
//	any | input | system contains "TEXT" in any message, the first of the user, a system message
//	called NAME [N | N..M | N+]          how often the model called the tool; alone: at least once
//	result NAME [contains "TEXT"]        a result of the tool is there
//	tools have | lack NAME               what the request offers
//
// Conditions of tools:
//
//	call 2 | 2..4 | 2+ | odd | even      which request to this tool it is, failed ones included
//	args contains "TEXT"
//	arg PATH is "TEXT"                   a field of the arguments
//	key given                            the call has an idempotency key
//
// # What a model does
//
//	say "TEXT"            text; several are joined
//	think "TEXT"          thinking in front of it; over messages only where the request asks for thinking
//	call NAME JSON        a tool call; several are parallel calls
//	raw-args NAME REST    a tool call whose arguments are the rest of the line, JSON or not
//	finish WORD           stop, tool_calls, length, content_filter, none; by itself it is right
//	usage in=N out=N | none
//	delay DURATION        before the first piece
//	drip DURATION         between the pieces
//	quirk NAME…           index-zero index-none index-one ids-same ids-none (of calls), finish-stop (with calls),
//	                      and over HTTP crlf bom comments bytes (one byte at a time) usage-null
//
// Places in texts and JSON are filled in: ${input}, ${last}, ${last.PATH},
// ${result.TOOL}, ${result.TOOL.PATH}, ${turn}; in tools ${args}, ${args.PATH},
// ${key}, ${n} (which request it is). Inside JSON "#{…}", quotes included,
// becomes the value itself and not a string. A place that has nothing to be
// filled with stays as it is.
//
// Faults, "fault KIND OPTION…":
//
//	400…599      that status, with the error body OpenAI or Anthropic would send
//	overflow     400 context_length_exceeded        quota    429 insufficient_quota
//	dead         503 for ever                       reset    the connection is reset
//	html         200 with a sign-in page            error-200  200 with an error for a body
//	garbage      200 with half an answer            hang     no answer until the caller leaves
//	cut          the connection ends in mid-answer  no-end   all but the finish and the end mark
//	stall        half an answer, then nothing       drip     one piece at a time
//	error-event  half an answer, then an error      empty    an answer without content
//	refusal      finish content_filter              length   half the text, finish length
//
// Options: times=N or times=forever (else once), each, chance=P (decided by
// the seed), retry-after=D, retry-after-ms=D, retry-after-date=D, every=D of a
// drip (else 500ms), for=D as the longest hang or stall (else 30s; after it a
// hang is a 504), after=N pieces before a cut, stall or error-event (else half).
//
// Over messages a fault is what Anthropic makes of it: quota is 400 with a
// credit balance that is too low, refusal the stop reason of that name, an
// error-event the event overloaded_error. What OpenAI counts by calls, the
// quirks of an index count by blocks.
//
// Requests are looked at as strictly as the services do: every call has its
// result right behind it, and every id stands once. Over messages besides: no
// blank texts, the user speaks first and last, thinking comes back with its
// signature, max_tokens and the header anthropic-version are there.
//
// Endless loops need no fault: "always / call search {}" repeats one call for
// ever, "when turn odd / call a {}" with "when turn even / call b {}" swings.
//
// # What a tool does
//
// Attributes are those of [daruma.ToolSpec]: effect=, risk=, on-doubt=,
// capability=, alternatives=A,B, timeout=, verify, approve, replace-write; and
// dedupe: a repeated idempotency key gets the first result again, without a
// second effect, or status 422 where the arguments differ.
//
//	description "TEXT"    for models
//	schema JSON           of the arguments; the tool refuses what lacks a required field or has a wrong plain type
//	return JSON           the work is done, in the ledger unless effect=read, and this is the answer
//	lie JSON              the same answer, but nothing was done
//	error "TEXT" [status=N]   refused, nothing was done (else 422)
//	fault 400…599|dead|reset|hang    nothing was done
//	fault lost|late|html|garbage     the work is done and no good answer comes: the connection ends at once (lost),
//	                                 after a hang (late), or brings something else
//
// Every effect stands in the ledger, whoever was told of it: see [Fake.Ledger]
// and [Fake.KeepLedger].
//
// # Guarantees
//
// The same script, seed and requests in the same order give the same answers.
// Requests that run at the same time share the counts of faults, in the order
// in which they arrive.
//
// # What it does not do
//
// It does not think, and it has no security: keys are not checked, and
// everybody who reaches the server may reset it. Serve it on loopback alone.
package fake
