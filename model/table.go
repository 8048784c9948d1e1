package model

import "github.com/daruma-run/daruma"

// The table of failures. Everything that [Classify] knows of providers stands
// in this file. It is read from the top: codeRows with the provider's code,
// then with its type; statusRows; then codeRows again for the vague codes. If
// what was found is vague, textRows may sharpen it, last and only for the
// kinds they name. Nothing else looks at the wording of an error.

// codeRow says what a provider's code or type means, in lower case.
type codeRow struct {
	codes    string // separated by spaces
	provider string // only of this provider; empty means any
	asked    bool   // only if the answer says how long to wait
	vague    bool   // says little: the status goes first, the text may sharpen it
	kind     daruma.Kind
}

var codeRows = [...]codeRow{
	{kind: daruma.KindOverflow, codes: "context_length_exceeded context_window_exceeded exceed_context_size_error model_max_prompt_tokens_exceeded model_context_window_exceeded contextwindowexceedederror request_too_large tokens_limit_reached prompt_too_long"},

	// The same code is a matter of money at OpenAI and of a minute elsewhere.
	{kind: daruma.KindQuota, codes: "insufficient_quota", provider: "openai"},
	{kind: daruma.KindRateLimited, codes: "insufficient_quota", asked: true},
	{kind: daruma.KindQuota, codes: "insufficient_quota", vague: true},
	{kind: daruma.KindQuota, codes: "billing_not_active billing_hard_limit_reached billing_error insufficient_balance insufficient_credits exceeded_current_quota_error arrearage payment_required"},

	{kind: daruma.KindUnauthorized, codes: "invalid_api_key authentication_error invalid_authentication_error permission_error permission_denied permissiondenied unauthenticated unauthorized api_key_invalid account_deactivated mismatched_organization unsupported_country_region_territory accessdeniedexception unrecognizedclientexception"},
	{kind: daruma.KindNotFound, codes: "model_not_found deploymentnotfound not_found_error resource_not_found_error unknown_model notfounderror"},
	{kind: daruma.KindRefused, codes: "content_filter content_policy_violation responsibleaipolicyviolation data_inspection_failed invalid_prompt sensitive_words_detected"},

	{kind: daruma.KindRateLimited, codes: "slow_down throttlingexception rate_limit_reached_error limit_requests limit_burst_rate"},
	{kind: daruma.KindUnavailable, codes: "conflict_error overloaded_error overloaded server_is_overloaded engine_overloaded engine_overloaded_error model_overloaded service_unavailable unavailable serviceunavailableexception modelnotreadyexception insufficient_system_resource"},
	{kind: daruma.KindTimeout, codes: "timeout_error deadline_exceeded gateway_timeout request_timeout modeltimeoutexception"},

	{kind: daruma.KindRateLimited, vague: true, codes: "rate_limit_exceeded rate_limit_error too_many_requests resource_exhausted ratelimitreached rate_limited throttling_error tokens requests"},
	{kind: daruma.KindUnavailable, vague: true, codes: "api_error server_error internal_server_error internal_error internal internalservererror bad_gateway upstream_error provider_error"},
	{kind: daruma.KindTimeout, vague: true, codes: "timeout"},
	{kind: daruma.KindNotFound, vague: true, codes: "not_found"},
	{kind: daruma.KindInvalid, vague: true, codes: "invalid_request_error badrequesterror bad_request invalid_argument invalid_value validation_error validationexception failed_precondition unsupported_parameter unsupported_value missing_required_parameter"},
}

// statusRow says what a status means where the code does not say more. A
// number inside a body of status 200 counts as the status.
type statusRow struct {
	from, to int
	html     bool // only if the body is a page
	final    bool // the text is not looked at
	kind     daruma.Kind
}

var statusRows = [...]statusRow{
	{from: 0, to: 399, html: true, final: true, kind: daruma.KindBroken}, // a captive portal or login page
	{from: 401, to: 401, final: true, kind: daruma.KindUnauthorized},
	{from: 402, to: 402, final: true, kind: daruma.KindQuota},
	{from: 403, to: 403, html: true, kind: daruma.KindUnavailable}, // a firewall in between, not the provider
	{from: 403, to: 403, kind: daruma.KindUnauthorized},
	{from: 404, to: 404, kind: daruma.KindNotFound},
	{from: 405, to: 405, kind: daruma.KindNotFound}, // the base URL is wrong
	{from: 408, to: 408, kind: daruma.KindTimeout},
	{from: 409, to: 409, kind: daruma.KindUnavailable}, // the request met another one: OpenAI asks to try again
	{from: 410, to: 410, final: true, kind: daruma.KindNotFound},
	{from: 413, to: 413, final: true, kind: daruma.KindOverflow},
	{from: 424, to: 425, kind: daruma.KindUnavailable},
	{from: 429, to: 429, kind: daruma.KindRateLimited},
	{from: 498, to: 498, kind: daruma.KindRateLimited}, // Groq: no capacity left in the flexible tier
	{from: 499, to: 499, kind: daruma.KindUnavailable}, // a proxy lost its own upstream
	{from: 504, to: 504, kind: daruma.KindTimeout},
	{from: 524, to: 524, final: true, kind: daruma.KindTimeout},
	{from: 500, to: 599, kind: daruma.KindUnavailable},
	{from: 400, to: 499, html: true, kind: daruma.KindUnavailable},
	{from: 300, to: 399, final: true, kind: daruma.KindNotFound}, // a redirect that is not followed
}

// vagueRows stand behind the vague codes.
var vagueRows = [...]statusRow{
	{from: 400, to: 499, kind: daruma.KindInvalid},
	{from: 0, to: 399, kind: daruma.KindBroken},
}

// textRow says what wording, in lower case, means.
type textRow struct {
	words   []string      // any of them
	unasked bool          // only if the answer does not say how long to wait
	of      []daruma.Kind // which vague findings it may sharpen; none means any
	kind    daruma.Kind
}

var textRows = [...]textRow{
	{kind: daruma.KindOverflow, words: []string{
		"maximum context length", "context length is only", "prompt is too long", "context window", "context size",
		"exceeds the context", "reduce the length of", "input is too long", "exceeds the maximum number of tokens",
		"request too large for", "n_ctx", "exceeded model token limit", "`max_new_tokens` must be", "maximum prompt length",
		"too large for model", "range of input length should be", "exceed context limit",
	}},
	{kind: daruma.KindRateLimited, of: []daruma.Kind{daruma.KindQuota, daruma.KindInvalid, daruma.KindUnavailable, daruma.KindBroken}, words: []string{
		"per minute", "per-minute", "per second", "allocated quota", "rate limit", "rate-limit", "too many requests", "retry in ",
	}},
	{kind: daruma.KindQuota, unasked: true, of: []daruma.Kind{daruma.KindInvalid, daruma.KindRateLimited, daruma.KindUnauthorized, daruma.KindUnavailable, daruma.KindBroken}, words: []string{
		"credit balance is too low", "insufficient balance", "insufficient credits", "requires more credits",
		"monthly included credits", "spending limit", "used all available credits", "check your plan and billing",
		"reached your specified api usage limits", "extra usage is required",
	}},
	{kind: daruma.KindUnauthorized, of: []daruma.Kind{daruma.KindInvalid, daruma.KindBroken}, words: []string{
		"api key not valid", "invalid api key", "incorrect api key", "no auth credentials", "location is not supported",
	}},
	{kind: daruma.KindRefused, of: []daruma.Kind{daruma.KindInvalid, daruma.KindUnauthorized, daruma.KindBroken}, words: []string{
		"flagged", "content management policy", "content filtering policy", "safety system", "usage polic",
	}},
	{kind: daruma.KindNotFound, of: []daruma.Kind{daruma.KindInvalid, daruma.KindBroken}, words: []string{
		"model not found", "no such model", "not a valid model id", "unknown model",
	}},
	{kind: daruma.KindUnavailable, of: []daruma.Kind{daruma.KindInvalid, daruma.KindBroken}, words: []string{
		"overloaded", "temporarily unavailable", "is currently loading", "upstream connect error", "high demand", "no available channel",
	}},
}
