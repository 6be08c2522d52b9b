package main

import (
	"errors"
	"fmt"
	"log/slog"

	"scaling.cloud/mcp/mail"
)

// checkMail returns what is wrong with the settings of mail.
func (s *settings) checkMail() error {
	if s.SMTPURL == "" {
		return nil
	}
	if s.MailFrom == "" {
		return errors.New("SCALING_MAIL_FROM is not set: mail is from somebody")
	}
	if _, err := mail.ParseAddress(s.MailFrom); err != nil {
		return fmt.Errorf("SCALING_MAIL_FROM is %w", err)
	}
	if _, err := mail.NewSMTP(string(s.SMTPURL), s.MailFrom); err != nil {
		return fmt.Errorf("SCALING_SMTP_URL is %w", err)
	}
	return nil
}

// sender returns what sends mail under settings that have been checked.
func (s *settings) sender(log *slog.Logger) (mail.Sender, error) {
	if s.SMTPURL != "" {
		return mail.NewSMTP(string(s.SMTPURL), s.MailFrom)
	}
	if s.outbox != nil {
		return s.outbox, nil
	}
	log.Warn("SCALING_SMTP_URL is not set: pages and notices are logged, and reach nobody")
	return mail.Log{Logger: log}, nil
}
