package resource

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"strings"
	"time"

	"github.com/google/jsonschema-go/jsonschema"
	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"scaling.cloud/mcp/resource/incident"
	"scaling.cloud/mcp/store"
)

// OfferEverything has s offer what the MCP conformance suite calls by name, in the
// place of the product's tools, MCP resources and prompts, and the optional parts of
// the protocol that the product has no use for. All in front of that, and around it,
// is the product's.
func OfferEverything(s *Server) {
	options := s.serverOptions()
	options.Capabilities.Logging = &mcp.LoggingCapabilities{}
	options.CompletionHandler = func(context.Context, *mcp.CompleteRequest) (*mcp.CompleteResult, error) {
		return &mcp.CompleteResult{Completion: mcp.CompletionResultDetails{Values: []string{"test", "testing"}}}, nil
	}
	options.SubscribeHandler = func(context.Context, *mcp.SubscribeRequest) error { return nil }
	options.UnsubscribeHandler = func(context.Context, *mcp.UnsubscribeRequest) error { return nil }
	s.offer(newCatalog(s.everyTool(), everyResource(), everyPrompt()), options)
}

// Content of each kind.
var (
	onePixel = func() []byte {
		var b bytes.Buffer
		if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, 1, 1))); err != nil {
			panic(err)
		}
		return b.Bytes()
	}()
	// A WAV file without samples: 8000 of 8 bits a second, mono, PCM.
	silence = []byte("RIFF\x24\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\x40\x1f\x00\x00\x40\x1f\x00\x00\x01\x00\x08\x00data\x00\x00\x00\x00")
)

func someText(format string, args ...any) mcp.Content {
	return &mcp.TextContent{Text: fmt.Sprintf(format, args...)}
}
func someImage() mcp.Content { return &mcp.ImageContent{Data: onePixel, MIMEType: "image/png"} }
func someAudio() mcp.Content { return &mcp.AudioContent{Data: silence, MIMEType: "audio/wav"} }

func someResource(uri string) mcp.Content {
	return &mcp.EmbeddedResource{Resource: &mcp.ResourceContents{URI: uri, MIMEType: "text/plain", Text: "What is embedded."}}
}

// everyTool returns the tools by the names that the suite knows them by.
func (s *Server) everyTool() []*tool {
	return []*tool{
		answering("test_simple_text", someText("Some text.")),
		answering("test_image_content", someImage()),
		answering("test_audio_content", someAudio()),
		answering("test_embedded_resource", someResource("test://embedded")),
		answering("test_multiple_content_types", someText("Of each kind:"), someImage(), someResource("test://mixed")),
		answering("test_reconnection", someText("Nobody was disconnected.")),
		answering("test_streaming_elicitation", someText("Nobody was asked.")),
		taking("json_schema_2020_12_tool", schema202012, answer(someText("It fits."))),
		taking("test_header", `{"type":"object","properties":{"region":{"type":"string","x-mcp-header":"Region"}}}`, answer(someText("It fits."))),
		handling("test_error_handling", func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			return failure("It always fails."), nil
		}),
		handling("test_tool_with_logging", logs),
		handling("test_logging_tool", logs),
		handling("test_tool_with_progress", func(ctx context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			for _, progress := range []float64{0, 50, 100} {
				// It fails where the answer is one JSON object, which has no room for it.
				_ = req.Session.NotifyProgress(ctx, &mcp.ProgressNotificationParams{ProgressToken: req.Params.GetProgressToken(), Progress: progress, Total: 100})
			}
			return answer(someText("It is done."))(ctx, req)
		}),
		handling("test_missing_capability", func(ctx context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			if c := req.ClientCapabilities(); c == nil || c.Sampling == nil {
				return nil, &jsonrpc.Error{Code: mcp.CodeMissingRequiredClientCapabilities, Message: "It needs sampling.",
					Data: mustMarshal(mcp.MissingRequiredClientCapabilityData{RequiredCapabilities: &mcp.ClientCapabilities{Sampling: &mcp.SamplingCapabilities{}}})}
			}
			return answer(someText("The client samples."))(ctx, req)
		}),

		// They ask the client in the middle of a call, as protocols with sessions do.
		taking("test_sampling", `{"type":"object","properties":{"prompt":{"type":"string"}}}`, samples),
		taking("test_elicitation", `{"type":"object","properties":{"message":{"type":"string"}}}`, elicits),
		handling("test_elicitation_sep1034_defaults", elicits),
		handling("test_elicitation_sep1330_enums", elicits),

		// They ask by their result, as the protocol without sessions does.
		s.asking("test_input_required_result_elicitation", round{"user_name": form("name", "string")}),
		s.asking("test_input_required_result_sampling", round{"capital_question": sampling()}),
		s.asking("test_input_required_result_list_roots", round{"client_roots": &mcp.ListRootsParams{}}),
		s.asking("test_input_required_result_request_state", round{"confirm": form("ok", "boolean")}),
		s.asking("test_input_required_result_tampered_state", round{"confirm": form("ok", "boolean")}),
		s.asking("test_input_required_result_multiple_inputs",
			round{"user_name": form("name", "string"), "greeting": sampling(), "client_roots": &mcp.ListRootsParams{}}),
		s.asking("test_input_required_result_multi_round", round{"step1": form("name", "string")}, round{"step2": form("color", "string")}),
		s.asking("test_input_required_result_capabilities", round{"form": form("name", "string"), "sample": sampling()}),
	}
}

// schema202012 is a schema with the keywords of JSON Schema 2020-12 that must reach
// clients as they are.
const schema202012 = `{
	"$schema": "https://json-schema.org/draft/2020-12/schema",
	"type": "object",
	"$defs": {"address": {"$anchor": "addressDef", "type": "object", "properties": {"street": {"type": "string"}}}},
	"properties": {
		"name": {"type": "string"}, "address": {"$ref": "#/$defs/address"}, "phone": {"type": "string"}, "email": {"type": "string"},
		"contactMethod": {"type": "string", "enum": ["phone", "email"]}
	},
	"allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
	"if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
	"then": {"required": ["phone"]},
	"else": {"required": ["email"]},
	"additionalProperties": false
}`

// answering makes a tool that always answers the same.
func answering(name string, content ...mcp.Content) *tool { return handling(name, answer(content...)) }

// handling makes a tool without arguments.
func handling(name string, handle mcp.ToolHandler) *tool {
	return taking(name, `{"type":"object"}`, handle)
}

// taking makes a tool of a schema of its arguments.
func taking(name, schema string, handle mcp.ToolHandler) *tool {
	var input jsonschema.Schema
	if err := json.Unmarshal([]byte(schema), &input); err != nil {
		panic(err)
	}
	t := mcp.Tool{Name: name, Description: "For the conformance suite.", InputSchema: json.RawMessage(schema)}
	return &tool{Tool: t, access: access{scope: store.ScopeIncidentsWrite}, input: &input, add: func(server *mcp.Server) { server.AddTool(&t, handle) }}
}

func answer(content ...mcp.Content) mcp.ToolHandler {
	return func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return &mcp.CallToolResult{Content: content}, nil
	}
}

// failure is what a tool answers that refuses in words for the model.
func failure(message string) *mcp.CallToolResult {
	var r mcp.CallToolResult
	r.SetError(&incident.Error{Code: "test", Message: message})
	return &r
}

func logs(ctx context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	for _, step := range []string{"begun", "going on", "done"} {
		_ = req.Session.Log(ctx, &mcp.LoggingMessageParams{Level: "info", Data: step}) // as with progress
	}
	return answer(someText("It has logged."))(ctx, req)
}

func samples(ctx context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	r, err := req.Session.CreateMessage(ctx, sampling())
	if err != nil {
		return failure(err.Error()), nil
	}
	return &mcp.CallToolResult{Content: []mcp.Content{r.Content}}, nil
}

func elicits(ctx context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	r, err := req.Session.Elicit(ctx, form("username", "string"))
	if err != nil {
		return failure(err.Error()), nil
	}
	return answer(someText("%s: %v", r.Action, r.Content))(ctx, req)
}

func sampling() *mcp.CreateMessageParams {
	return &mcp.CreateMessageParams{MaxTokens: 100, Messages: []*mcp.SamplingMessage{{Role: "user", Content: someText("What is the capital of France?")}}}
}

// form asks for one value.
func form(name, kind string) *mcp.ElicitParams {
	return &mcp.ElicitParams{Mode: "form", Message: "Please answer.", RequestedSchema: &jsonschema.Schema{
		Type: "object", Required: []string{name}, Properties: map[string]*jsonschema.Schema{name: {Type: kind}},
	}}
}

// round is what a tool asks the client at once.
type round mcp.InputRequestMap

// asking makes a tool that asks the client round by round, and answers when all
// was said. Which round it is stands in the state, which has the product's seal.
func (s *Server) asking(name string, rounds ...round) *tool {
	ask := func(n int, c *mcp.ClientCapabilities) *mcp.CallToolResult {
		return &mcp.CallToolResult{
			Content: []mcp.Content{}, InputRequests: rounds[n].within(c),
			RequestState: fmt.Sprint(n, " ", s.sealQuestion([]byte(fmt.Sprint(name, n)), s.Now().Add(time.Minute))),
		}
	}
	return handling(name, func(ctx context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		n := 0
		if state := req.Params.RequestState; state != "" {
			text, seal, _ := strings.Cut(state, " ")
			_, err := fmt.Sscan(text, &n)
			if _, _, ok := s.openQuestion([]byte(fmt.Sprint(name, n)), seal); err != nil || !ok {
				return nil, &jsonrpc.Error{Code: jsonrpc.CodeInvalidParams, Message: "The state is not one of this tool's."}
			}
		}
		for key := range rounds[n].within(req.ClientCapabilities()) {
			if req.Params.InputResponses[key] == nil {
				return ask(n, req.ClientCapabilities()), nil
			}
		}
		if n++; n < len(rounds) {
			return ask(n, req.ClientCapabilities()), nil
		}
		return answer(someText("All was said."))(ctx, req)
	})
}

// within returns the questions that a client with the given capabilities can answer.
func (r round) within(c *mcp.ClientCapabilities) mcp.InputRequestMap {
	c = cmp.Or(c, &mcp.ClientCapabilities{})
	can := mcp.InputRequestMap{}
	for key, question := range r {
		switch question.(type) {
		case *mcp.ElicitParams:
			if c.Elicitation == nil {
				continue
			}
		case *mcp.CreateMessageParams:
			if c.Sampling == nil {
				continue
			}
		}
		can[key] = question
	}
	return can
}

// everyResource returns the MCP resources by the URIs that the suite knows them by.
func everyResource() []*mcpResource {
	static := func(uri string, contents mcp.ResourceContents) *mcpResource {
		contents.URI = uri
		return &mcpResource{scope: store.ScopeSchedulesRead, uri: uri, add: func(server *mcp.Server) {
			server.AddResource(&mcp.Resource{Name: uri, Description: "For the conformance suite.", URI: uri, MIMEType: contents.MIMEType},
				func(context.Context, *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
					return &mcp.ReadResourceResult{Contents: []*mcp.ResourceContents{&contents}}, nil
				})
		}}
	}
	data := &mcpResource{scope: store.ScopeSchedulesRead, template: "test://template/{id}/data"}
	data.add = func(server *mcp.Server) {
		server.AddResourceTemplate(&mcp.ResourceTemplate{Name: "data", URITemplate: data.template, MIMEType: plain},
			func(_ context.Context, req *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
				id, _ := data.argument(req.Params.URI)
				return &mcp.ReadResourceResult{Contents: []*mcp.ResourceContents{{URI: req.Params.URI, MIMEType: plain, Text: "The data of " + id}}}, nil
			})
	}
	return []*mcpResource{
		static("test://static-text", mcp.ResourceContents{MIMEType: plain, Text: "Some text."}),
		static("test://static-binary", mcp.ResourceContents{MIMEType: "image/png", Blob: onePixel}),
		static("test://watched-resource", mcp.ResourceContents{MIMEType: plain, Text: "It never changes."}),
		data,
	}
}

// everyPrompt returns the prompts by the names that the suite knows them by.
func everyPrompt() []*prompt {
	telling := func(name string, arguments []string, messages func(map[string]string) []mcp.Content) *prompt {
		p := mcp.Prompt{Name: name, Description: "For the conformance suite."}
		for _, argument := range arguments {
			p.Arguments = append(p.Arguments, &mcp.PromptArgument{Name: argument, Required: true})
		}
		return &prompt{Prompt: p, scopes: []string{store.ScopeIncidentsRead}, get: func(_ context.Context, req *mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
			var r mcp.GetPromptResult
			for _, content := range messages(req.Params.Arguments) {
				r.Messages = append(r.Messages, &mcp.PromptMessage{Role: "user", Content: content})
			}
			return &r, nil
		}}
	}
	asks := telling("test_input_required_result_prompt", nil, func(map[string]string) []mcp.Content { return []mcp.Content{someText("All was said.")} })
	said := asks.get
	asks.get = func(ctx context.Context, req *mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
		if req.Params.InputResponses["user_context"] == nil {
			return &mcp.GetPromptResult{Messages: []*mcp.PromptMessage{}, InputRequests: mcp.InputRequestMap{"user_context": form("context", "string")}}, nil
		}
		return said(ctx, req)
	}
	return []*prompt{
		telling("test_simple_prompt", nil, func(map[string]string) []mcp.Content { return []mcp.Content{someText("Some text.")} }),
		telling("test_prompt_with_arguments", []string{"arg1", "arg2"}, func(arguments map[string]string) []mcp.Content {
			return []mcp.Content{someText("%s and %s", arguments["arg1"], arguments["arg2"])}
		}),
		telling("test_prompt_with_embedded_resource", []string{"resourceUri"}, func(arguments map[string]string) []mcp.Content {
			return []mcp.Content{someResource(arguments["resourceUri"]), someText("Summarize it.")}
		}),
		telling("test_prompt_with_image", nil, func(map[string]string) []mcp.Content { return []mcp.Content{someImage(), someText("Describe it.")} }),
		asks,
	}
}
