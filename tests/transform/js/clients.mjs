// The official JavaScript SDKs as clients of the daemon: each asks in its own dialect, and says what it understood.
//
// A client is one conversation. `ask` and `bring` resolve to {text, thinking, calls: [{id, name, arguments}], input, output},
// where `input` and `output` count tokens.

import Anthropic from "@anthropic-ai/sdk";
import { GoogleGenAI } from "@google/genai";
import { Ollama } from "ollama";
import OpenAI from "openai";

// One white pixel.
const PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII=";
const SCHEMA = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const TOOL = "weather";
const DESCRIPTION = "Tells the weather.";

function expectReason(given, wanted) {
  if (given !== wanted) throw new Error(`the answer ended with ${given}, not with ${wanted}`);
}

class AnthropicClient {
  constructor(url, key, stream) {
    this.client = new Anthropic({ baseURL: url, apiKey: key, maxRetries: 0 });
    this.stream = stream;
    this.history = [];
    this.options = {};
  }

  ask(text, { image, tools, thinking } = {}) {
    const content = [{ type: "text", text }];
    if (image) content.unshift({ type: "image", source: { type: "base64", media_type: "image/png", data: PIXEL } });
    if (tools) this.options.tools = [{ name: TOOL, description: DESCRIPTION, input_schema: SCHEMA }];
    if (thinking) this.options.thinking = { type: "enabled", budget_tokens: 1024 };
    return this.#send(content);
  }

  bring(results) {
    return this.#send(results.map(({ id, text }) => ({ type: "tool_result", tool_use_id: id, content: text })));
  }

  async #send(content) {
    this.history.push({ role: "user", content });
    const body = { model: "claude-x", max_tokens: 2048, messages: this.history, ...this.options };
    const answer = this.stream
      ? await this.client.messages.stream(body).finalMessage()
      : await this.client.messages.create(body);
    this.history.push({ role: "assistant", content: answer.content });
    const of = (type) => answer.content.filter((block) => block.type === type);
    const calls = of("tool_use").map(({ id, name, input }) => ({ id, name, arguments: input }));
    expectReason(answer.stop_reason, calls.length ? "tool_use" : "end_turn");
    return {
      text: of("text").map((block) => block.text).join(""),
      thinking: of("thinking").map((block) => block.thinking).join(""),
      calls,
      input: answer.usage.input_tokens,
      output: answer.usage.output_tokens,
    };
  }
}

class ChatClient {
  constructor(url, key, stream) {
    this.client = new OpenAI({ baseURL: `${url}/v1`, apiKey: key, maxRetries: 0 });
    this.stream = stream;
    this.history = [];
    this.options = {};
  }

  ask(text, { image, tools, thinking } = {}) {
    const content = [{ type: "text", text }];
    if (image) content.unshift({ type: "image_url", image_url: { url: `data:image/png;base64,${PIXEL}` } });
    if (tools) {
      const definition = { name: TOOL, description: DESCRIPTION, parameters: SCHEMA };
      this.options.tools = [{ type: "function", function: definition }];
    }
    if (thinking) this.options.reasoning_effort = "medium";
    return this.#send([{ role: "user", content }]);
  }

  bring(results) {
    return this.#send(results.map(({ id, text }) => ({ role: "tool", tool_call_id: id, content: text })));
  }

  async #send(messages) {
    this.history.push(...messages);
    const body = { model: "gpt-x", messages: this.history, ...this.options };
    let answer;
    let thinking = "";
    if (this.stream) {
      const running = this.client.chat.completions.stream({ ...body, stream_options: { include_usage: true } });
      // The SDK's types do not know it.
      running.on("chunk", (chunk) => (thinking += chunk.choices[0]?.delta.reasoning_content ?? ""));
      answer = await running.finalChatCompletion();
    } else {
      answer = await this.client.chat.completions.create(body);
      thinking = answer.choices[0].message.reasoning_content ?? "";
    }
    const { message, finish_reason: reason } = answer.choices[0];
    this.history.push(message);
    const calls = (message.tool_calls ?? []).map((call) => ({
      id: call.id,
      name: call.function.name,
      arguments: JSON.parse(call.function.arguments),
    }));
    expectReason(reason, calls.length ? "tool_calls" : "stop");
    const { prompt_tokens: input, completion_tokens: output } = answer.usage;
    return { text: message.content ?? "", thinking, calls, input, output };
  }
}

class ResponsesClient {
  constructor(url, key, stream) {
    this.client = new OpenAI({ baseURL: `${url}/v1`, apiKey: key, maxRetries: 0 });
    this.stream = stream;
    this.history = [];
    this.options = {};
  }

  ask(text, { image, tools, thinking } = {}) {
    const content = [{ type: "input_text", text }];
    if (image) {
      content.unshift({ type: "input_image", image_url: `data:image/png;base64,${PIXEL}`, detail: "auto" });
    }
    if (tools) {
      const definition = { name: TOOL, description: DESCRIPTION, parameters: SCHEMA, strict: false };
      this.options.tools = [{ type: "function", ...definition }];
    }
    if (thinking) this.options.reasoning = { effort: "medium", summary: "auto" };
    return this.#send([{ role: "user", content }]);
  }

  bring(results) {
    return this.#send(results.map(({ id, text }) => ({ type: "function_call_output", call_id: id, output: text })));
  }

  async #send(items) {
    this.history.push(...items);
    const body = { model: "gpt-x", input: this.history, store: false, ...this.options };
    const answer = this.stream
      ? await this.client.responses.stream(body).finalResponse()
      : await this.client.responses.create(body);
    this.history.push(...answer.output);
    expectReason(answer.status, "completed");
    const of = (type) => answer.output.filter((item) => item.type === type);
    return {
      text: answer.output_text,
      thinking: of("reasoning")
        .flatMap((item) => [...(item.summary ?? []), ...(item.content ?? [])])
        .map((part) => part.text)
        .join(""),
      calls: of("function_call").map((call) => ({
        id: call.call_id,
        name: call.name,
        arguments: JSON.parse(call.arguments),
      })),
      input: answer.usage.input_tokens,
      output: answer.usage.output_tokens,
    };
  }
}

class GeminiClient {
  constructor(url, key, stream) {
    this.client = new GoogleGenAI({ apiKey: key, vertexai: false, httpOptions: { baseUrl: url } });
    this.stream = stream;
    this.history = [];
    this.config = {};
  }

  ask(text, { image, tools, thinking } = {}) {
    const parts = [{ text }];
    if (image) parts.unshift({ inlineData: { mimeType: "image/png", data: PIXEL } });
    if (tools) {
      const definition = { name: TOOL, description: DESCRIPTION, parametersJsonSchema: SCHEMA };
      this.config.tools = [{ functionDeclarations: [definition] }];
    }
    if (thinking) this.config.thinkingConfig = { includeThoughts: true };
    return this.#send(parts);
  }

  bring(results) {
    return this.#send(
      results.map(({ id, name, text }) => ({ functionResponse: { id, name, response: { output: text } } })),
    );
  }

  async #send(parts) {
    this.history.push({ role: "user", parts });
    const body = { model: "gemini-x", contents: this.history, config: this.config };
    const answers = [];
    if (this.stream) {
      for await (const answer of await this.client.models.generateContentStream(body)) answers.push(answer);
    } else {
      answers.push(await this.client.models.generateContent(body));
    }
    const said = answers.flatMap((answer) => answer.candidates?.[0]?.content?.parts ?? []);
    this.history.push({ role: "model", parts: said });
    expectReason(answers.at(-1).candidates?.[0]?.finishReason, "STOP");
    const usage = answers.at(-1).usageMetadata;
    const texts = (thought) => said.filter((part) => part.text && Boolean(part.thought) === thought);
    return {
      text: texts(false).map((part) => part.text).join(""),
      thinking: texts(true).map((part) => part.text).join(""),
      calls: said
        .filter((part) => part.functionCall)
        .map(({ functionCall: { id, name, args } }) => ({ id: id ?? "", name, arguments: args })),
      input: usage.promptTokenCount ?? 0,
      output: (usage.candidatesTokenCount ?? 0) + (usage.thoughtsTokenCount ?? 0),
    };
  }
}

class OllamaClient {
  constructor(url, key, stream) {
    this.client = new Ollama({ host: url, headers: { authorization: `Bearer ${key}` } });
    this.stream = stream;
    this.history = [];
    this.options = {};
  }

  ask(text, { image, tools, thinking } = {}) {
    const message = { role: "user", content: text };
    if (image) message.images = [PIXEL];
    if (tools) {
      const definition = { name: TOOL, description: DESCRIPTION, parameters: SCHEMA };
      this.options.tools = [{ type: "function", function: definition }];
    }
    if (thinking) this.options.think = true;
    return this.#send([message]);
  }

  bring(results) {
    return this.#send(results.map(({ name, text }) => ({ role: "tool", tool_name: name, content: text })));
  }

  async #send(messages) {
    this.history.push(...messages);
    const body = { model: "llama-x", messages: this.history, ...this.options };
    const answers = [];
    if (this.stream) {
      for await (const answer of await this.client.chat({ ...body, stream: true })) answers.push(answer);
    } else {
      answers.push(await this.client.chat(body));
    }
    const joined = (field) => answers.map((answer) => answer.message[field] ?? "").join("");
    const own = { role: "assistant", content: joined("content") };
    if (joined("thinking")) own.thinking = joined("thinking");
    const calls = answers.flatMap((answer) => answer.message.tool_calls ?? []);
    if (calls.length) own.tool_calls = calls;
    this.history.push(own);
    expectReason(answers.at(-1).done, true);
    return {
      text: own.content,
      thinking: own.thinking ?? "",
      calls: calls.map((call) => ({ id: "", name: call.function.name, arguments: call.function.arguments })),
      input: answers.at(-1).prompt_eval_count,
      output: answers.at(-1).eval_count,
    };
  }
}

export const CLIENTS = {
  anthropic: AnthropicClient,
  openai_chat: ChatClient,
  openai_responses: ResponsesClient,
  gemini: GeminiClient,
  ollama: OllamaClient,
};
