/** The options of the webhook runner. */
import { promptProblems, Type, type ConfigProblem, type OptionsOf } from '../plugin.ts';

const TIMEOUT_MS_MAX = 300_000;
const SECRET_MIN = 16;

export const webhookOptions = Type.Object({
  /** `https:`, or `http:` to a private address. */
  url: Type.String({ minLength: 1 }),
  /** At least 16 characters: signs each call, `X-AgentCom-Signature: sha256=HMAC(secret, timestamp + "." + body)` in hexadecimal. */
  secret: Type.Optional(Type.String({ minLength: SECRET_MIN })),
  /** Further headers, such as `Authorization`. */
  headers: Type.Optional(Type.Record(Type.String(), Type.String())),
  /** What is sent, instead of the task as JSON; `${PROMPT}`, `${TASK_ID}` and `${RUN_ID}` in its texts are replaced. */
  body: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
  /** Replaces the prompt that `${PROMPT}` stands for, which tells the agent to report by `agentcom report`. */
  prompt: Type.Optional(Type.String({ minLength: 1 })),
  /** Whether addresses of this machine and of networks behind it may be called. Default false. */
  allowPrivate: Type.Optional(Type.Boolean()),
  /** Milliseconds until there must be an answer. Default 10,000. */
  timeoutMs: Type.Optional(Type.Integer({ minimum: 1, maximum: TIMEOUT_MS_MAX })),
});

export type WebhookOptions = OptionsOf<typeof webhookOptions>;

/** Mistakes that the schema cannot see. */
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
    problems.push({ path: 'body', message: 'must have ${PROMPT} or ${TASK_ID} in it, or the agent never hears of its task' });
  }
  if (prompt !== undefined && body === undefined)
    problems.push({ path: 'prompt', message: 'has a meaning only with a body that has ${PROMPT}' });
  for (const [name, value] of Object.entries(headers)) {
    if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name) || /[\r\n\0]/.test(value))
      problems.push({ path: `headers.${name}`, message: 'is not a header' });
  }
  return problems;
}
