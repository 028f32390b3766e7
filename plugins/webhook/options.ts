/** The options of the webhook runner. */
import { promptProblems, Type, type ConfigProblem, type OptionsOf } from '../plugin.ts';

const TIMEOUT_MS_MAX = 300_000;
const SECRET_MIN = 16;

export const webhookOptions = Type.Object({
  /** `https:`, or `http:` to a private address. */
  url: Type.String({ minLength: 1 }),
  /**
   * At least 16 characters; signs each call: `X-AgentCom-Signature: sha256=HMAC(secret, timestamp + "." + body)`,
   * hexadecimal.
   */
  secret: Type.Optional(Type.String({ minLength: SECRET_MIN })),
  /** Further headers, such as `Authorization`. */
  headers: Type.Optional(Type.Record(Type.String(), Type.String())),
  /** Sent instead of the task as JSON; `${PROMPT}`, `${TASK_ID}` and `${RUN_ID}` in its strings are replaced. */
  body: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
  /** Replaces the prompt for `${PROMPT}`, which tells the agent to report with `agentcom report`. */
  prompt: Type.Optional(Type.String({ minLength: 1 })),
  /** Allow addresses of this machine and of networks behind it. Default false. */
  allowPrivate: Type.Optional(Type.Boolean()),
  /** Milliseconds to wait for an answer. Default 10,000. */
  timeoutMs: Type.Optional(Type.Integer({ minimum: 1, maximum: TIMEOUT_MS_MAX })),
});

/** Options of `webhook()`. */
export type WebhookOptions = OptionsOf<typeof webhookOptions>;

/** Problems that the schema cannot express. */
export function webhookProblems({ url, headers = {}, body, prompt, allowPrivate = false }: WebhookOptions): readonly ConfigProblem[] {
  const problems: ConfigProblem[] = [...promptProblems(prompt)];
  const parsed = URL.canParse(url) ? new URL(url) : null;
  if (parsed === null || !['http:', 'https:'].includes(parsed.protocol))
    problems.push({ path: 'url', message: 'must be a URL with https: or http:' });
  else if (parsed.protocol === 'http:' && !allowPrivate) {
    problems.push({ path: 'url', message: 'must be https:, or http: with allowPrivate: true for a service on this machine or network' });
  }
  if (parsed !== null && parsed.username + parsed.password !== '')
    problems.push({ path: 'url', message: 'must not have a password in it; give an Authorization header' });
  if (body !== undefined && !/\$\{(?:PROMPT|TASK_ID)\}/.test(JSON.stringify(body))) {
    problems.push({ path: 'body', message: 'must have ${PROMPT} or ${TASK_ID} in it, or the agent does not get its task' });
  }
  if (prompt !== undefined && body === undefined) problems.push({ path: 'prompt', message: 'only applies with a body that has ${PROMPT}' });
  for (const [name, value] of Object.entries(headers)) {
    // As Node checks it: a call with any other header fails.
    if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name) || /[^\t\x20-\x7e\x80-\xff]/.test(value))
      problems.push({ path: `headers.${name}`, message: 'is not a header' });
  }
  return problems;
}
