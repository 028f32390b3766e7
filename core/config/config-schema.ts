/**
 * The schema of each option. `description` completes the sentence "expected …" of an error message;
 * `writeOnly` marks a secret, whose value is never printed. Defaults are in times.ts, limits.ts and resolve.ts.
 */
import { Type, type TObject, type TSchema } from 'typebox';
import { Check } from 'typebox/schema';
import { AGENT_ID_PATTERN } from '../domain/ids.ts';
import { FINGERPRINT_PATTERN, FINGERPRINT_WANTED, FINGERPRINTS_MAX } from './fingerprint.ts';
import { CAPABILITIES_MAX, DURATION_MS_MAX, HELD_TASK_BYTES_MAX, SLOTS_MAX } from '../protocol/fields.ts';
import { HUB_LIMITS, type HubLimits } from './limits.ts';
import { type HubTiming, type SidecarTiming } from './times.ts';

/** A shorter admin token could be guessed. */
const ADMIN_TOKEN_CHARACTERS_MIN = 32;
/** The largest page of a list; the API's schema has the same limit. */
const PAGE_ROWS_MAX = 500;
/** Checked by `readSocketAddress`. */
export const HUB_ADDRESS_WANTED = 'an address such as ws://127.0.0.1:4000/ws or wss://hub.example.org/ws';
/** Ten years. */
const AUDIT_KEPT_MS_MAX = 10 * DURATION_MS_MAX;
const COUNT_MAX = 1_000_000_000;
/** A name or IPv4 address has no colon, an IPv6 address at least two: `name:port` is neither. */
const HOST_PATTERN = '^([A-Za-z0-9._-]+|[0-9A-Fa-f]*:[0-9A-Fa-f:.]*:[0-9A-Za-z:.%]*)$';
const WAKE_RETRIES_MAX = 20;
const HUBS_MAX = 32;
const NAMES_MAX = 256;
/** Of a web page: scheme, host and an optional port, without a path. */
const ORIGIN_PATTERN = '^https?://([A-Za-z0-9._-]+|\\[[0-9A-Fa-f:.]+\\])(:[0-9]{1,5})?$';

/** A schema for each key of `T`: a key that is added to `T` but not here is a compile error. */
type FieldsOf<T> = { readonly [Key in keyof T]-?: TSchema };
type Fields = Readonly<Record<string, TSchema>>;

/** An object with these required and optional keys and no others. */
const options = (what: string, required: Fields, optional: Fields): TObject =>
  Type.Object(
    { ...required, ...Object.fromEntries(Object.entries(optional).map(([key, schema]) => [key, Type.Optional(schema)])) },
    { additionalProperties: false, description: `an object with ${what}` },
  );
const whole = (minimum: number, maximum: number, unit = '', reason = ''): TSchema =>
  Type.Integer({ minimum, maximum, description: `a whole number${unit} from ${minimum} to ${maximum}${reason}` });
const timeMs = (minimum = 1, maximum = DURATION_MS_MAX): TSchema => whole(minimum, maximum, ' of milliseconds');
const text = (description: string, pattern: string, maxLength = 1_024): TSchema => Type.String({ pattern, maxLength, description });
const secret = (description: string, minLength: number): TSchema =>
  Type.String({ pattern: '^[\\x21-\\x7e]+$', minLength, maxLength: 1_024, writeOnly: true, description });
const adminToken = secret(
  `a secret of at least ${ADMIN_TOKEN_CHARACTERS_MIN} visible ASCII characters; omit it to have one created`,
  ADMIN_TOKEN_CHARACTERS_MIN,
);
/** Also for one that is in a file. */
export const isAdminToken = (token: string): boolean => Check(adminToken, token);
/** Ends what is said about a wrong token of a sidecar; a worker, which cannot enroll, says something else. */
export const ENROLLS_WITHOUT = '; omit it to let the sidecar enroll itself';
const yesOrNo = Type.Boolean({ description: 'true or false' });
const file = text('a file, absolute or relative to the config file', '^[^\\u0000]+$', 4_096);
const folder = text('a folder, absolute or relative to the config file', '^[^\\u0000]+$', 4_096);
const backoff = options('firstMs and maxMs', { firstMs: timeMs(), maxMs: timeMs() }, {});

const hubTiming: FieldsOf<HubTiming> = {
  heartbeatMs: timeMs(),
  pongWaitMs: timeMs(),
  reconnectMaxMs: timeMs(),
  graceMarginMs: timeMs(0),
  reconnectGraceMs: timeMs(),
  quietAfterStartMs: timeMs(0),
  acceptMs: timeMs(),
  leaseMs: timeMs(),
  sweepMs: timeMs(),
  stopResendMs: timeMs(),
  killGraceMs: timeMs(0),
  runMaxMs: timeMs(),
  v1RunMaxMs: timeMs(),
  v1StopMs: timeMs(0),
  backoff,
  breaker: backoff,
  endedKeptMs: timeMs(),
  deadLetterKeptMs: timeMs(),
  outputKeptMs: timeMs(),
  auditKeptMs: timeMs(1, AUDIT_KEPT_MS_MAX),
  agentKeptMs: timeMs(),
  tombstoneMs: timeMs(),
  hubLeaseMs: timeMs(),
  pollMs: timeMs(),
};

const sidecarTiming: FieldsOf<SidecarTiming> = {
  wakeRetriesMs: Type.Array(timeMs(0), { maxItems: WAKE_RETRIES_MAX, description: `a list of at most ${WAKE_RETRIES_MAX} delays` }),
  confirmWithinMs: timeMs(),
  pickupWithinMs: timeMs(),
  silenceMs: timeMs(),
  idleMs: timeMs(),
  resultStillMs: timeMs(),
  reportRepeat: backoff,
  clockOffMaxMs: timeMs(1_000),
};

/** How much larger a `task_assign` may be than its submit. */
export const ASSIGN_OVERHEAD_BYTES = 65_536;

/** The bounds of the limits that do not have the default bounds, and the reason, if it is not obvious. */
const LIMIT_BOUNDS: Partial<Record<keyof HubLimits, readonly [number, number, string?]>> = {
  submitBytes: [1, HELD_TASK_BYTES_MAX - ASSIGN_OVERHEAD_BYTES, ' (no sidecar could hold a larger task)'],
  requestsPerSecond: [0, COUNT_MAX],
  readMsPerSecond: [0, COUNT_MAX],
  agentFramesPerSecond: [0, COUNT_MAX],
  agentBytesPerSecond: [0, COUNT_MAX],
  outputBytes: [0, COUNT_MAX],
  endedTasks: [0, COUNT_MAX],
  auditEntries: [1_000, COUNT_MAX],
  slotsPerAgent: [1, SLOTS_MAX],
  page: [1, PAGE_ROWS_MAX],
};
const limits = Object.fromEntries(
  (Object.keys(HUB_LIMITS) as (keyof HubLimits)[]).map((key) => {
    const [least, most, reason] = LIMIT_BOUNDS[key] ?? [1, COUNT_MAX];
    return [key, whole(least, most, unitOf(key), reason)];
  }),
);

/** The unit of a limit, from the end of its name. */
function unitOf(key: string): string {
  if (key.endsWith('Ms')) return ' of milliseconds';
  return /Bytes(PerToken)?$/.test(key) ? ' of bytes' : '';
}

const listen = options(
  'host, port, names, origins, tls, insecure and trustedProxies',
  {},
  {
    host: text('a host name or an IP address, without port and brackets, such as 127.0.0.1', HOST_PATTERN, 253),
    port: whole(0, 65_535),
    names: Type.Array(text('a host name without scheme, port and path', HOST_PATTERN, 253), {
      maxItems: NAMES_MAX,
      description: 'a list of host names',
    }),
    origins: Type.Array(text('an origin such as https://ops.example.org, without a path', ORIGIN_PATTERN, 270), {
      maxItems: NAMES_MAX,
      description: 'a list of origins',
    }),
    tls: options(
      'certFile, keyFile and minVersion',
      { certFile: file, keyFile: file },
      { minVersion: Type.Union([Type.Literal('TLSv1.2'), Type.Literal('TLSv1.3')], { description: 'TLSv1.2 or TLSv1.3' }) },
    ),
    insecure: yesOrNo,
    trustedProxies: Type.Array(text('an IP address', '^(\\d{1,3}(\\.\\d{1,3}){3}|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*)$', 45), {
      maxItems: NAMES_MAX,
      description: 'a list of IP addresses',
    }),
  },
);

const ACCEPT_MAX = 1_000;
const KEYS_MAX = 64;
/** A `*` matches a path, so it must follow a slash or a colon: `https://example.org*` would match other hosts. */
const REPO_PATTERN = '^[^*\\s]+$|^[^*\\s]*[/:]\\*$';
/** 32 bytes, base64url. */
const ED25519_X_PATTERN = '^[A-Za-z0-9_-]{43}$';
const word = (what: string): TSchema => text(what, '^[^\\u0000-\\u001f\\u007f]+$', 128);
/** Must not be empty: an empty list would accept nothing. */
const listOf = (item: TSchema, what: string, maxItems = ACCEPT_MAX): TSchema =>
  Type.Array(item, { minItems: 1, maxItems, description: `a list of 1 to ${maxItems} ${what}` });

const publicKey = Type.Union(
  [
    file,
    options(
      'kty, crv and x',
      { kty: Type.Literal('OKP'), crv: Type.Literal('Ed25519'), x: text('32 bytes in base64url', ED25519_X_PATTERN) },
      { kid: word('a text'), use: word('a text'), alg: word('a text') },
    ),
  ],
  { description: 'an Ed25519 public key: a JWK without a private part, or a file with a JWK or PEM' },
);

/** Which tasks a sidecar accepts. */
const accept = options(
  'submitters, repos, maxRuntimeMs, signedBy and audiences',
  {},
  {
    submitters: listOf(word('the ID of a token, or admin'), 'IDs of tokens'),
    repos: listOf(text('a repository, or a prefix that ends with "/" or ":", followed by "*"', REPO_PATTERN), 'repositories'),
    maxRuntimeMs: timeMs(),
    signedBy: listOf(
      options(
        'publicKey, name and notAfter',
        { publicKey },
        { name: word('a name of 1 to 128 characters'), notAfter: text('a day such as 2027-12-31', '^[0-9]{4}-[01][0-9]-[0-3][0-9]$', 10) },
      ),
      'keys',
      KEYS_MAX,
    ),
    audiences: listOf(word('a name of 1 to 128 characters'), 'names', KEYS_MAX),
  },
);

/** Adapters are validated in adapter-choice.ts, not by a schema. */
const adapter = (port: string, example: string): TSchema => Type.Unknown({ port, description: `what ${example} returns` });

const hub = options(
  'the options of the hub',
  { storage: adapter('storage', 'sqlite({ file: "agentcom.db" })'), transport: adapter('transport', 'ws()') },
  {
    listen,
    dataDir: folder,
    archiveDir: folder,
    adminToken,
    agentMessages: yesOrNo,
    limits: options('limits', {}, limits),
    timing: options('times', {}, hubTiming),
  },
);

const sidecar = options(
  'the options of the sidecar',
  {
    hubs: Type.Array(Type.String({ maxLength: 2_048, description: HUB_ADDRESS_WANTED }), {
      minItems: 1,
      maxItems: HUBS_MAX,
      description: `a list of 1 to ${HUBS_MAX} addresses`,
    }),
    agentId: text('an ID of at most 64 lowercase letters, digits, ".", "_" and "-", beginning with a letter or digit', AGENT_ID_PATTERN),
  },
  {
    name: text('a name of 1 to 128 characters', '^[^\\u0000-\\u001f\\u007f]+$', 128),
    token: secret(`a token of visible ASCII characters${ENROLLS_WITHOUT}`, 1),
    dataDir: folder,
    capabilities: Type.Array(text('a word of 1 to 64 characters', '^[^\\u0000-\\u001f\\u007f]+$', 64), {
      maxItems: CAPABILITIES_MAX,
      description: `a list of at most ${CAPABILITIES_MAX} words`,
    }),
    slots: whole(1, SLOTS_MAX),
    wake: adapter('wake-runner', 'command({ argv: ["node", "agent.mjs"] })'),
    insecure: yesOrNo,
    plainToken: yesOrNo,
    deviceKey: yesOrNo,
    tls: options(
      'fingerprints and caFile',
      {},
      {
        fingerprints: Type.Array(text(FINGERPRINT_WANTED, FINGERPRINT_PATTERN, 64), {
          minItems: 1,
          maxItems: FINGERPRINTS_MAX,
          description: `a list of 1 to ${FINGERPRINTS_MAX} fingerprints`,
        }),
        caFile: file,
      },
    ),
    accept,
    timing: options('times', {}, sidecarTiming),
  },
);

/** The whole config. */
export const configSchema: TObject = options('hub, sidecar or both', {}, { hub, sidecar });
