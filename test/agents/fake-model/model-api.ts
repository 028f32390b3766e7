/** What the model APIs share, for a fake model. */

/** One message of a conversation, whatever API it came from. */
export interface Turn {
  readonly role: 'user' | 'assistant' | 'tool';
  readonly text: string;
}

/** A tool call that the model requests. */
export interface ToolCall {
  readonly name: string;
  readonly args: Readonly<Record<string, unknown>>;
}

/** Why an answer is incomplete, or missing: its maximum length, a refusal of the model, a filter of its service. */
export type ShortEnd = 'truncated' | 'refused' | 'filtered';

/** Its answer: text, or a tool call. */
export type Answer = { readonly text: string; readonly end?: ShortEnd | undefined } | { readonly call: ToolCall };

/**
 * Tokens of one call, the same for all APIs; each reports them in its own format. `input` includes `cached`, `output`
 * includes `thinking`.
 */
export const CALL_USAGE = { input: 120, cached: 20, output: 7, thinking: 3 } as const;

/** Failures that a service describes beyond a status: an exhausted account, a bad key, an unknown model, a context that is too long. */
export const SERVICE_FAILURES = ['credit', 'bad-key', 'no-model', 'context'] as const;
export type ServiceFailure = (typeof SERVICE_FAILURES)[number];

/** Some JSON object that a program sent. */
export type ModelObject = Readonly<Record<string, unknown>>;

export interface Reply {
  /** Unique, for the ids that an API requires. */
  readonly id: string;
  readonly model: string;
  readonly answer: Answer;
}

export interface StreamEvent {
  /** Left out if the API does not name events. */
  readonly name?: string;
  readonly data: ModelObject | string;
}

/** How a service reports a failure. */
export interface Failure {
  readonly status: number;
  readonly body: ModelObject;
  /** If it reports it in a stream that has begun well, instead of by status. */
  readonly event?: StreamEvent | undefined;
}

/** How one API works. Pure. */
export interface ModelApi {
  readonly name: string;
  /** Whether a request to this path is a call of the model. */
  isCall(path: string): boolean;
  turns(body: ModelObject): readonly Turn[];
  /** Names of the tools that the program offers. */
  tools(body: ModelObject): readonly string[];
  isStreamed(path: string, body: ModelObject): boolean;
  whole(reply: Reply): ModelObject;
  stream(reply: Reply): readonly StreamEvent[];
  /** In its own words; a number is a status. */
  failure(what: ServiceFailure | number, model: string): Failure;
}

export const endOf = (answer: Answer): ShortEnd | undefined => ('call' in answer ? undefined : answer.end);

export const objectOf = (value: unknown): ModelObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as ModelObject) : {};

export const listOf = (value: unknown): readonly ModelObject[] => (Array.isArray(value) ? value.map(objectOf) : []);

/** The text in a string or in a list of parts. */
export function textOf(content: unknown): string {
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) return '';
  return content.map((part) => textOf(objectOf(part)['text'] ?? objectOf(part)['content'])).join('\n');
}

export const namesIn = (tools: readonly ModelObject[]): readonly string[] =>
  tools.flatMap(({ name }) => (typeof name === 'string' ? [name] : []));
