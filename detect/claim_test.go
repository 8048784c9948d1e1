package detect

import (
	"strings"
	"testing"

	"github.com/daruma-run/daruma"
)

func TestClaim(t *testing.T) {
	for _, test := range []struct {
		text   string
		undone string
		seen   string // what results say
		want   string // the tool that was not called
	}{
		{"Done: the refund is paid.", "refund", "", "refund"},
		{"I have refunded 40 dollars to your card.", "refund_order", "", ""}, // "your": it may be a report
		{"I've refunded order A-17.", "refundOrder", "", "refundOrder"},
		{"All good. The reminder was just sent! Bye.", "send_reminder", "", "send_reminder"},
		{"We have already scheduled it: the meeting has been booked.", "schedule_meeting", "", "schedule_meeting"},
		{"The ticket has been closed.", "close_ticket,refund", "", "close_ticket"},

		{"The refund was not made.", "refund", "", ""},
		{"The refund could not be made.", "refund", "", ""},
		{"Shall the refund be made?", "refund", "", ""},
		{"The refund will be paid once the manager has approved it.", "refund", "", ""},
		{"If the refund was paid, the mail is sent.", "refund", "", ""},
		{"The refund isn't paid.", "refund", "", ""},
		{"The refund was denied.", "refund", "", ""},
		{"The refund was paid.", "refund", "refund R-1: paid", ""},
		{"The refund was paid.", "refund", "status: paid", ""}, // a report, perhaps
		{"I refunded 40 dollars.", "refund", "status: open", "refund"},
		{"Done! The refund is paid.", "refund", "", "refund"},
		{"The order was paid on Monday.", "refund", "", ""},
		{"The invoice is 120 dollars.", "pay_invoice", "", ""},
		{"The file is saved.", "write_file", "", ""}, // a name that says too little
		{"The refund is paid.", "", "", ""},
		{"Refunds take three days.", "refund", "", ""},
		{"Die Erstattung ist bezahlt.", "refund", "", ""},
		{"Example:\n    refund was paid -> code 7", "refund", "", "refund"},
		{"", "refund", "", ""},
		{strings.Repeat("x", 100_000) + "\nThe refund is paid.", "refund", "", ""},
	} {
		in := ReplyInput{Step: "2/1", Message: daruma.Message{Text: test.text}, Finish: daruma.FinishStop,
			Seen: func(word string) bool { return test.seen != "" && strings.Contains(test.seen, word) }}
		if test.undone != "" {
			in.Undone = strings.Split(test.undone, ",")
		}
		signals, skipped := Reply(in)
		signals = withoutEmpty(signals)
		if skipped > 0 || (len(signals) > 0) != (test.want != "") {
			t.Errorf("%.60q: %v, %d skipped", test.text, signals, skipped)
			continue
		}
		if test.want != "" && (signals[0].Type != daruma.UnverifiedClaim || !strings.Contains(signals[0].Message, test.want+" was not done")) {
			t.Errorf("%.60q: %+v", test.text, signals[0])
		}
	}
	calls := ReplyInput{Message: daruma.Message{Text: "The refund is paid.", Calls: []daruma.ToolCall{{Name: "mail"}}}, Finish: daruma.FinishTools,
		Tools: []string{"mail"}, Undone: []string{"refund"}}
	if signals, _ := Reply(calls); len(signals) > 0 {
		t.Errorf("an answer that goes on working is judged: %v", signals)
	}
}

func withoutEmpty(all []daruma.Signal) (kept []daruma.Signal) {
	for _, s := range all {
		if s.Detector != "empty/1" {
			kept = append(kept, s)
		}
	}
	return kept
}
