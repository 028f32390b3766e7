/**
 * Who tries what, what stops it, and the tests that show it. `npm run promises` writes this table into SECURITY.md; if
 * a test is renamed or removed, threats.test.ts fails until its row is updated.
 *
 * Long on purpose: it is one table.
 */
import type { NamedTest } from './named-tests.ts';

/** One attack, and what stops it. */
export interface Threat {
  readonly who: string;
  readonly stoppedBy: string;
  readonly tests: readonly NamedTest[];
}

const PEER = 'security/network-peer.test.ts';
const TRANSPORT = 'adapters/wire/transport-ws.test.ts';
const TOKEN = 'security/stolen-token.test.ts';
const ROTATED = 'security/rotated-token.test.ts';
const PROOF = 'core/hub/token-proof.test.ts';
const OUTPUT = 'security/agent-output.test.ts';
const NAMED = 'core/hub/submits/named-tasks.test.ts';
const OTHER = 'security/other-agent.test.ts';
const LOCAL = 'security/local-user.test.ts';
const HTTP = 'adapters/http/refusals.test.ts';
const TOKENS = 'adapters/http/tokens.test.ts';
const SESSION = 'adapters/http/dashboard-session.test.ts';
const BAD = 'apps/cli/bad-input.test.ts';
const API = 'product/contracts/wire/http-api.contract.ts';
const ROUTE_RIGHTS = 'security/route-rights.test.ts';
const FRAME_RIGHTS = 'security/frame-rights.test.ts';
const AUDIT = 'security/audit-log.test.ts';
const AUDIT_STORE = 'product/contracts/storage/audit-log.contract.ts';
const AUDIT_CLI = 'apps/cli/cli-audit.test.ts';
const WIRE = 'product/contracts/wire/hub-transport.contract.ts';
const INBOX = 'product/contracts/files/result-inbox.contract.ts';
const HOSTILE = 'apps/hostile-text.test.ts';
const TLS = 'adapters/wire/tls.test.ts';
const JOINING = 'apps/tls/joining.test.ts';
const CONFIG = 'core/config/resolve.test.ts';

const DEVICE = 'core/hub/devices/device-key.test.ts';
const DEVICE_FILE = 'apps/signing/device-key-file.test.ts';
const HOSTILE_HUB = 'security/hostile-hub.test.ts';
const FLOODING_HUB = 'security/flooding-hub.test.ts';
const SIGNATURES = 'apps/signing/trusted-signatures.test.ts';
const CLAIMS = 'core/protocol/task-claims.test.ts';
const NONCES = 'apps/signing/nonce-memory.test.ts';
const SIGNED = 'core/sidecar/accept/signed-offers.test.ts';
const POLICY = 'core/sidecar/accept/accept-policy.test.ts';
const REJECTIONS = 'core/hub/policy-rejections.test.ts';

export const THREATS: readonly Threat[] = [
  {
    who: 'network peer',
    stoppedBy: '256-bit tokens, stored as digests, shown once, compared in constant time',
    tests: [
      [PEER, 'tokens and secrets are 256 random bits'],
      [TOKENS, 'a new token with a role is shown once and works immediately'],
    ],
  },
  {
    who: 'network peer',
    stoppedBy: '64 KiB a frame, 132 KiB in all and 10 s before identify',
    tests: [
      [PEER, 'R20: 64 KiB before identify is accepted, one byte more closes with 1009'],
      [PEER, 'R20: frames that arrive while an identify is checked share the size limit of one frame before it'],
      [PEER, 'R20: a connection that has not identified within 10 s is closed'],
      [PEER, 'R20: unidentified connections over the limit are closed with 1013; identified ones do not count'],
      [PEER, 'R20: where each unidentified connection can hold a whole frame, together they hold at most 256 MiB'],
      [TRANSPORT, 'R20: a frame before identify is buffered only up to its limit, regardless of its announced length'],
      [TRANSPORT, 'R20: a peer that the hub has closed before identify is read only up to the same limit'],
      ['adapters/wire/transport-uws.test.ts', 'R20: empty frames, pings and pongs before identify count with their headers'],
      [BAD, 'connections before identify'],
    ],
  },
  {
    who: 'network peer',
    stoppedBy: 'throttled by address, seen through trustedProxies, until identify',
    tests: [
      [PEER, 'wrong tokens block their address for a while, and cannot lock an agent out by its name'],
      [PEER, 'connections opened before their address was blocked may send one wrong frame each'],
      [BAD, 'ten invalid frames block their sender for a while: the address before identify, the agent after; no other'],
      [TOKENS, 'an address that guesses is rate-limited; tokens already accepted from it are not'],
      [TOKENS, 'simultaneous guesses are limited like any others'],
      [TOKENS, 'behind a trusted proxy, the client address is the one the proxy reports'],
    ],
  },
  {
    who: 'impostor hub, or man in the middle',
    stoppedBy:
      'the hub proves that it knows the token before any token or task is sent; the token itself is sent only with sidecar.plainToken. ' +
      'Enrollment is proved the same way, with the enrollment secret; an older hub gets the secret only over wss, or when plainToken or ' +
      '`agentcom join --insecure` accepts any hub that answers',
    tests: [
      ['apps/enrolment.test.ts', 'R22: an impostor on the port learns nothing usable of the secret, and its token is not accepted'],
      ['apps/enrolment.test.ts', 'R22: a man in the middle of an enrollment reads neither secret nor token, and its changes are rejected'],
      [TOKENS, 'R7: an overheard enrollment is useless for another agent, with other nonces or with another secret'],
      ['apps/doctor/doctor-machine.test.ts', 'the hub proves that it knows the token, and never sees it'],
      ['security/impostor.test.ts', 'an eavesdropper on every frame between sidecar and hub never sees the token, and can reuse nothing'],
      [
        'core/sidecar/hub-proof.test.ts',
        'R22: a hub that cannot prove itself receives only hello for a whole day, and nothing of the token',
      ],
      [
        'core/sidecar/hub-proof.test.ts',
        'R22: a proof by another key, for another connection or another agent is refused, and nothing more is sent',
      ],
      [PROOF, 'R7: an intercepted proof is useless on another connection'],
    ],
  },
  {
    who: 'network peer',
    stoppedBy: 'a hello does not reveal which tokens exist, and guessing counts',
    tests: [
      [PROOF, 'unknown hints, hints of other agents and of revoked tokens get the same kind of answer as a valid hint'],
      [PROOF, 'R20: guessing with hello blocks the address, and a peer that is silent after hello is closed in time'],
    ],
  },
  {
    who: 'compromised hub',
    stoppedBy:
      'a sidecar can be told to run only what a submitter signed, for it and for now: tampered with, unsigned, by another key, expired, for others or replayed, it is rejected before anything is written or woken',
    tests: [
      [HOSTILE_HUB, 'a sidecar that trusts a submitter runs what it signed, and nothing that the hub has altered'],
      [HOSTILE_HUB, 'a retry of the same task is not a replay'],
      [SIGNATURES, 'any other signature is invalid, with the reason'],
      [SIGNATURES, 'a key is valid through its last day'],
      [CLAIMS, 'every part of a task is in its text'],
      [CLAIMS, 'a sidecar runs only what was signed, for the signed agent and time'],
      [CLAIMS, 'claims of any other form are refused, since an unknown claim may forbid the run'],
      [NONCES, 'a nonce is valid again for the same task only, also after a restart'],
      [NONCES, 'beyond its bound, possibly forgotten nonces are refused, and newer signatures are accepted'],
      [NONCES, 'when the clock jumps forward and back, no signature that has expired meanwhile runs another task'],
      [SIGNED, 'an offer is verified first, and accepted once it is trusted'],
      [SIGNED, 'the hub cannot choose the session of a signed task'],
    ],
  },
  {
    who: 'compromised hub',
    stoppedBy: 'a sidecar reads no more of its hub than it can handle: what its disk holds up stays in the hub',
    tests: [
      [FLOODING_HUB, 'R20: while its journal is being written, a sidecar reads only so much of its hub, and answers all of it later'],
      [FLOODING_HUB, 'R20: frames of two bytes are bounded too'],
    ],
  },
  {
    who: 'submitter',
    stoppedBy:
      'a sidecar can be told whose tasks it accepts, of which repositories, and for how long; what it rejects ends elsewhere and is not a strike',
    tests: [
      [POLICY, 'every configured condition must hold'],
      [POLICY, 'a task that violates the policy is rejected with the reason, before anything is written or woken'],
      [REJECTIONS, 'R12 R13: a rejected task goes to another agent at once, uses up no retry, adds no strike and no busy time'],
      [REJECTIONS, 'R12: a rejected task is never offered to the same agent again, explains why it waits, and eventually ends'],
    ],
  },
  {
    who: 'network peer',
    stoppedBy: 'throttled by session after identify',
    tests: [
      [PEER, 'after identify the session is blocked, not its address'],
      [HTTP, 'a token that sends too many requests is refused'],
    ],
  },
  {
    who: 'network peer',
    stoppedBy: 'invalid frames cost their own socket, and are counted',
    tests: [
      ['product/contracts/wire/hub-transport-raw.contract.ts', 'ends exactly that socket, once, for …'],
      ['adapters/http/tasks.test.ts', 'R7: stats count everything, including what was refused'],
      ['fuzz/readers.test.ts', 'R22: the decoder answers any frame and never throws'],
    ],
  },
  {
    who: 'impostor hub, or man in the middle',
    stoppedBy:
      'TLS: a certificate from a trusted CA for the name, or the one key whose fingerprint the client has, compared before a byte is ' +
      'sent. A code to join with carries the fingerprint, so that the first connection is safe, too',
    tests: [
      [TLS, 'a hub with another key gets only the handshake: no token, no frame, no request'],
      [TLS, 'without a fingerprint, the CA and the name of the certificate decide'],
      [JOINING, 'R22: a machine joins with a code that names the key of the hub, and its sidecar stores token and key'],
      [JOINING, 'R22: a code is never sent to a hub with another key or over plain HTTP, and stays valid'],
      [JOINING, 'R22: a sidecar enrolls with the code in AGENTCOM_ENROL_SECRET, and trusts only that key from then on'],
    ],
  },
  {
    who: 'network peer',
    stoppedBy:
      'TLS 1.2 at least; a plain request to the TLS port gets nothing; handshakes are bounded in time and count as connections of their ' +
      'address; a certificate that cannot be used never replaces one that can',
    tests: [
      [TLS, 'TLS 1.1 is refused, 1.2 is not'],
      [TLS, 'plain HTTP and garbage are disconnected without an answer, and affect no other connection'],
      [TLS, 'R20: a handshake that never ends is closed after its timeout'],
      [TLS, 'R20: handshakes count towards the connections of their address; WebSockets do not'],
      [TLS, 'a renewed certificate is used for new connections, and no open one is lost'],
      ['apps/tls/served-certificate.test.ts', 'a broken pair changes nothing, and is logged once with its files if it stays broken'],
      [JOINING, 'over HTTPS the hub sends HSTS, except on loopback'],
    ],
  },
  {
    who: 'network peer',
    stoppedBy: 'plain sockets beyond loopback only with insecure: true, which TLS does not need; no listening without a secret',
    tests: [
      [CONFIG, 'every error has its path, what was expected and what was found'],
      ['apps/process/config.test.ts', 'unsafe listening beyond loopback has its own error code'],
    ],
  },
  {
    who: 'web page',
    stoppedBy: 'lists of Origin and Host, checked first',
    tests: [
      [API, 'a foreign host or origin is refused before its token is checked'],
      [WIRE, 'upgrades on /ws only, for allowed hosts only, up to the limit'],
      [BAD, 'sockets with a foreign Origin or Host'],
    ],
  },
  {
    who: 'web page',
    stoppedBy: 'JSON only',
    tests: [[HTTP, 'unsupported content types and encodings are refused']],
  },
  {
    who: 'web page',
    stoppedBy:
      'a bearer token; the cookie of the dashboard opens nothing from a page of another origin, and another port is another origin',
    tests: [
      [PEER, 'a cookie alone opens nothing'],
      [SESSION, 'R7: a session cookie works from the dashboard only, not from any other page, even on another port'],
      [SESSION, 'R7: a token is exchanged for a cookie that is HttpOnly, SameSite=Strict and does not contain the token'],
      [SESSION, 'R7: a session ends when its token is revoked, when it expires, and when the key of the hub changes'],
      [TOKENS, 'a header without a valid bearer token is refused without a lookup'],
    ],
  },
  {
    who: 'web page',
    stoppedBy: 'answers that may not be cached, framed or loaded from',
    tests: [[API, 'every response has a content type and forbids caching and framing']],
  },
  {
    who: 'stolen agent token',
    stoppedBy: 'an agent can be bound to a key of its machine, without which the token opens no connection',
    tests: [
      [DEVICE, 'the first key binds the agent: from then on no connection identifies without it'],
      [DEVICE, 'a refused identify does not affect the open session'],
      [DEVICE, 'a takeover lets another machine bind the agent'],
      [DEVICE_FILE, 'with deviceKey, a stolen sidecar token is useless on another machine'],
      ['apps/worker/worker-options.test.ts', 'with deviceKey, a stolen worker token is useless; the original machine can reconnect'],
      ['core/sidecar/hub-proof.test.ts', 'the device key is proved over the handshake, and only to a hub that has proved itself'],
    ],
  },
  {
    who: 'stolen agent token',
    stoppedBy: 'own assignments only',
    tests: [
      [TOKEN, "R7: every kind of report on another agent's task is refused and counted, and changes nothing"],
      [TOKEN, 'R7: a frame of a replaced session changes nothing and is counted'],
      [TOKEN, 'a task that the thief lists as held stays with its owner'],
      ['adapters/http/tasks.test.ts', 'submitters and agents see only their own tasks'],
    ],
  },
  {
    who: 'stolen agent token',
    stoppedBy: 'the token fixes capabilities, and max_slots 16',
    tests: [
      [TOKEN, 'the token fixes capabilities and slots, whatever identify claims'],
      [TOKEN, 'an agent token has max_slots 16 by default'],
      [TOKENS, 'an agent token can fix the capabilities and slots of its agent'],
    ],
  },
  {
    who: 'stolen agent token',
    stoppedBy: 'revoked: its socket at once, its requests within 30 s',
    tests: [
      [TOKEN, 'revoking a token closes its socket at once and refuses its next identify'],
      [TOKEN, 'a token that is revoked while it is being looked up grants nothing'],
      [TOKENS, 'a token revoked by its ID or by its agent is refused immediately'],
      [ROTATED, 'R7: the sockets of a rotated token are closed when it expires, or at once if it already has'],
      [ROTATED, 'the overlap is an hour by default, none with 0, limited, and never outlasts the old token'],
      [ROTATED, 'only an admin rotates tokens: other roles cannot rotate even their own'],
      [TOKENS, 'a token revoked by another hub is refused within seconds'],
      ['adapters/wire/request-sockets.test.ts', 'a token that is revoked closes it, whatever it is used for'],
    ],
  },
  {
    who: 'stolen agent token',
    stoppedBy:
      'one table of routes with what each role reaches, and one of frames with when each may be sent; what has no row is refused, and ' +
      'every role is tried on every row',
    tests: [
      [ROUTE_RIGHTS, 'R7: every route allows each role exactly what its row states'],
      [ROUTE_RIGHTS, 'R7: a list shows a submitter only its own tasks, and other roles all tasks'],
      [ROUTE_RIGHTS, 'a route without roles does not compile and is not served'],
      [API, 'routes and methods outside the table are refused'],
      [FRAME_RIGHTS, 'R7: the hub accepts each sidecar frame in the states of its row, and refuses it in all others'],
      [FRAME_RIGHTS, 'R7: only a valid token of role agent identifies, and only its own agent'],
      [FRAME_RIGHTS, 'R22: a sidecar accepts each hub frame in the phases of its row, and ignores it in all others'],
      [FRAME_RIGHTS, 'each frame of the protocol has a row that agrees with its schemas'],
    ],
  },
  {
    who: "agent's output",
    stoppedBy: 'control bytes escaped',
    tests: [
      [OUTPUT, 'every control byte is escaped in every form of output'],
      [OUTPUT, 'no command prints control bytes of a task, its result, its history or its agent to a terminal'],
    ],
  },
  {
    who: "agent's output",
    stoppedBy: 'regular files only',
    tests: [
      [INBOX, 'follows no link and reads nothing but regular files'],
      ['apps/cli/report.test.ts', 'no link is followed'],
    ],
  },
  {
    who: "agent's output",
    stoppedBy: 'named fields copied',
    tests: [
      [OUTPUT, '__proto__ in a frame, a result or a body is plain data or dropped, never a prototype'],
      ['core/protocol/http-text.test.ts', 'a body must have exactly the fields of its schema'],
    ],
  },
  {
    who: "agent's output",
    stoppedBy: 'depth at most 32, sizes bounded, nothing is unpacked',
    tests: [
      ['security/json-bounds.test.ts', 'R20: JSON nested 32 deep is accepted and 33 deep is refused, in a frame and in a body'],
      [
        'security/json-bounds.test.ts',
        'R20: a frame or body with more than 100,000 values is refused, and the sender of a report gets an answer',
      ],
      [PEER, 'a compressed bomb is refused with 415 before any of it is read'],
      [PEER, 'compression is never negotiated, whatever the client offers'],
      [
        'product/contracts/files/result-inbox-unfinished.contract.ts',
        'a result over 8 MiB is too large and retained; one of 8 MiB is read',
      ],
    ],
  },
  {
    who: 'submitter',
    stoppedBy: 'argv and standard input only, never a shell',
    tests: [
      [HOSTILE, 'every text arrives byte for byte via standard input, file, argument and result'],
      [HOSTILE, 'none of it was executed'],
    ],
  },
  {
    who: 'submitter',
    stoppedBy: 'ids by their patterns, and paths from these alone',
    tests: [
      [INBOX, 'builds no path from an invalid id'],
      ['fuzz/readers.test.ts', 'R22: an invalid id never becomes a path, a frame or a body'],
    ],
  },
  {
    who: 'submitter',
    stoppedBy:
      'a task ID that it chooses is used only once, even after the task was removed, and reveals no task of another token; repeats read a bounded part of what is stored',
    tests: [
      [NAMED, "another token's task is not revealed by a key that is its ID"],
      [NAMED, 'R5: the ID of a removed task names no other one, so its old reports change nothing'],
      [NAMED, 'repeats of many long tasks make the hub read no more than a bounded part of them'],
    ],
  },
  {
    who: 'other agent',
    stoppedBy: '10 messages a minute',
    tests: [[OTHER, 'an agent may send ten messages a minute; the next is refused with a retry time, and counted']],
  },
  {
    who: 'other agent',
    stoppedBy: 'data with a named sender; wakes no agent',
    tests: [
      [OTHER, 'a message carries its true sender, whatever it claims, and is only data'],
      [OTHER, 'a message to a sidecar wakes no agent'],
    ],
  },
  { who: 'other agent', stoppedBy: 'can be disabled', tests: [[OTHER, 'with agentMessages off, no message is passed on']] },
  {
    who: 'local user',
    stoppedBy: 'folders 0700 and files 0600, refused if wider',
    tests: [
      [LOCAL, 'a data directory is created for its owner only, and one with wider permissions is refused unchanged'],
      [LOCAL, 'nothing is written through files that another user planted in a data directory'],
      [LOCAL, 'a secret file is written for its owner only, and one that others may read is not trusted'],
      [LOCAL, 'a command does not use an admin token that others may read'],
      [
        'adapters/files/journal-file.test.ts',
        'folders and files are accessible to their owner only, and a folder with wider permissions is refused',
      ],
      ['adapters/files/results-files.test.ts', 'folders and files are accessible to their owner only'],
      ['adapters/storage/storage-sqlite-file.test.ts', 'files and folders are accessible to this user only'],
    ],
  },
  {
    who: 'local user',
    stoppedBy: 'enrollment needs its secret, once, for 15 minutes, on loopback too',
    tests: [
      [TOKENS, 'an agent enrolls itself with a secret that works once'],
      [TOKENS, 'of several agents that enroll with the same secret at once, only one succeeds'],
    ],
  },
  {
    who: 'hostile agent',
    stoppedBy: 'what it claims to hold changes no other assignment, and raises a generation by at most what a store can have lost',
    tests: [
      ['core/hub/held-claims.test.ts', 'R6 R7: claims by another agent never end the assignment of the agent that has the task'],
      ['core/hub/held-claims.test.ts', 'R6: an agent that once had the task cannot take it from the one that has it now'],
      ['core/hub/held-claims.test.ts', 'R6: no number of claims by an agent brings a generation near the ceiling'],
      [
        'core/hub/held-claims.test.ts',
        'R6 R20: an agent that claims a task repeatedly raises its generation and adds events only a few times',
      ],
    ],
  },
  {
    who: 'hostile agent',
    stoppedBy: 'histories bounded in bytes and events; late and refused results stored separately, once',
    tests: [
      [
        'core/hub/load/bounded-history.test.ts',
        'R4: a repeatedly refused result is stored once, recorded in a few events, and then only counted',
      ],
      ['core/hub/load/bounded-history.test.ts', 'wake results and progress are bounded in number and bytes per attempt'],
      [
        'adapters/http/task-history.test.ts',
        'R4: a task with a history of any size is answered with its newest events, and the rest is paged',
      ],
    ],
  },
  {
    who: 'hostile agent',
    stoppedBy: 'what it sends counts per agent, in frames and bytes, across its connections',
    tests: [
      [OTHER, 'R20: messages of an agent count across its connections'],
      [OTHER, 'R20: status and wake_result frames are limited too, and refused with a retry time'],
      [OTHER, 'R20: a broadcast must be small, a message to one agent may be large'],
      ['core/hub/load/fair-turns.test.ts', 'R20: an agent with thousands of reports gets only its share of turns'],
    ],
  },
  {
    who: 'broken machine',
    stoppedBy: 'a crash loop, a copied data directory or a version 1 failure spends its own strikes, not the queue',
    tests: [
      [
        'core/hub/crash-loop.test.ts',
        'R12, R13: a sidecar killed by its assignment gets it twice; then it runs elsewhere and counts as a strike',
      ],
      [
        'core/hub/cloned-folder.test.ts',
        'R12, R13: of two processes claiming to be one machine, the one at work stays, and its task ends once',
      ],
      [
        'core/hub/version1/version1-lost-runs.test.ts',
        'R12: a result over the frame limit fails its attempt as result_too_large, and ends when retries are spent',
      ],
      [
        'core/hub/version1/version1-failures.test.ts',
        'R13: a version 1 machine that cannot wake its agent is paused after three tasks, and none of twenty is lost',
      ],
    ],
  },
  {
    who: 'wild clock',
    stoppedBy: 'a store time that never goes back and does not jump; one quiet period for each absence; nothing is removed in it',
    tests: [
      ['core/hub/time/wild-clock.test.ts', 'R4 R15: a clock that is a year ahead for a minute removes no result, and ends no task'],
      ['core/hub/time/wild-clock.test.ts', 'R16 R17: a clock that goes back an hour keeps the order of tasks, and delays none'],
      ['core/hub/time/wild-clock.test.ts', 'R15 R16: a clock that steps every four minutes does not hold up a dead agent’s task'],
      ['core/hub/time/wild-clock.test.ts', 'nothing is removed while silence does not count, and all of it afterwards'],
    ],
  },
  {
    who: 'hostile agent',
    stoppedBy: 'peers that make the hub work for nothing wait behind the others, on the wire and for a commit',
    tests: [
      [
        'core/hub/load/wasteful-agents.test.ts',
        'R20: deferrable frames get a few milliseconds per turn of the loop, each connection one frame in turn',
      ],
      [
        'core/hub/load/wasteful-agents.test.ts',
        'R20: low-priority commands run when nothing else waits, and otherwise with one batch in seventeen',
      ],
      [
        'security/json-bounds.test.ts',
        'R20: an object with a hundred thousand keys is refused before it is parsed, and its sender gets an answer',
      ],
    ],
  },
  {
    who: 'odd neighbor',
    stoppedBy: 'batches and the parsing of bodies bounded by work, turns between owners, limits on bodies and reads per token',
    tests: [
      ['core/hub/load/fair-turns.test.ts', 'R20: one submitter with thousands of commands delays others by at most one batch'],
      [
        'core/hub/load/many-requirements.test.ts',
        'R12 R20: thousands of requirements that no agent meets are not scanned, and no task waits behind them',
      ],
      [
        'adapters/http/turns/parse-turns.test.ts',
        'R20: in one turn of the event loop, two slices at most are parsed, however many requests there are',
      ],
      ['adapters/http/turns/parse-turns.test.ts', 'R20: owners take turns, whatever one of them has waiting'],
      [
        'adapters/wire/request-sockets.test.ts',
        'R20: a port has a limited number of them, and a token half of those that others leave free',
      ],
      [HTTP, 'R20: a token that announces large bodies and sends little does not block other requests'],
      ['adapters/http/tasks.test.ts', 'R20: reads of one token are bounded and take turns, without delaying other tokens'],
      ['adapters/storage/storage-lookups.test.ts', 'R20: a token is found while every read connection is in use: sqlite'],
    ],
  },
  {
    who: 'network peer',
    stoppedBy:
      'no address takes all places, of sockets or, with `ws()`, of other connections; a peer that floods and reads nothing, or that pipelines many requests, is closed; a request has one length',
    tests: [
      [PEER, 'R20: silent unidentified connections from one address crowd out only that address'],
      [PEER, 'R20: an unidentified peer that pings and reads nothing is closed when its send buffer exceeds the limit'],
      ['adapters/wire/request-sockets.test.ts', 'R20: a client that leaves its answers unread is disconnected, although it pings'],
      [
        'adapters/wire/transport-ws.test.ts',
        'R20: one address gets half of the free non-WebSocket connections, and regains room when they close',
      ],
      ['adapters/wire/transport-ws.test.ts', 'R20: a connection with too many pipelined requests is closed before they delay others'],
      [
        'product/contracts/wire/hub-transport-http.contract.ts',
        'refuses a body with two lengths with 400, closes, and serves no request smuggled in it',
      ],
    ],
  },
  {
    who: 'second hub',
    stoppedBy: 'one declared order of locks, taken in one place',
    tests: [
      ['locks/locks-pg.test.ts', 'R16: two hubs that complete both dependencies of a task do not deadlock, and the task is queued'],
      ['locks/locks-pg.test.ts', 'R16: agents of a dead hub identify at another hub during sweeps of a third, without a deadlock'],
    ],
  },
  {
    who: 'damaged database',
    stoppedBy: 'rows are validated as they are read; killed restores lose nothing',
    tests: [
      [
        'adapters/storage/storage-damaged-rows.test.ts',
        'an agent with a damaged stored state is left out of lists, and named in the error of a direct read',
      ],
      ['moving/restore-steps.test.ts', 'R1 R22: a restore killed at any step loses nothing, and no hub starts on an empty store'],
      ['moving/restore-steps.test.ts', 'R21: after a restore no event number is reused, and streams are notified'],
    ],
  },
  {
    who: "agent's output",
    stoppedBy: 'an invalid event or result ends its own run: it is copied field by field, within limits, at one entry point',
    tests: [
      ['core/sidecar/run/runner-words.test.ts', 'R16: an invalid runner event is refused, with what was expected'],
      ['core/sidecar/run/runner-words.test.ts', 'R16: a result that cannot be sent is invalid, in whatever way it is constructed'],
      ['core/sidecar/run/runner-words.test.ts', 'R16: runner texts are bounded'],
      ['core/sidecar/broken.test.ts', 'R16: a rule that throws ends only the run it was handling'],
      ['core/sidecar/run/results.test.ts', 'R4: a result with megabytes in reserved field names becomes one report that fits its frame'],
      [
        'fuzz/fuzz-sidecar.test.ts',
        'R16, R20, R22: no input of a sidecar makes it throw, and what it accepts or refuses is within its bounds',
      ],
    ],
  },
  {
    who: 'hostile agent',
    stoppedBy: 'what it does to its own folders costs its own task: links, pipes, modes, a million files',
    tests: [
      [
        'security/agent-folders.test.ts',
        'R16, R4: an agent that tampers with its own folders ends its own task with a reason, and blocks no slot',
      ],
      ['core/sidecar/broken.test.ts', 'R16: an agent that locks its folder does not stop others from being reported or accepted'],
      ['adapters/files/results-files.test.ts', 'R16: an agent with a read-only folder gets no stop note, and this is not a disk failure'],
    ],
  },
  {
    who: 'hostile agent',
    stoppedBy:
      'its output is limited to 256 MiB per run (measured every second, and a run over it is killed after 0.5 s), ' +
      'and of its files only the result and the streams are kept',
    tests: [
      ['plugins/run-kit/run-kit.test.ts', 'a run that exceeds its output limit is reported as failed, and ends'],
      ['plugins/run-kit/odd-output.test.ts', 'R20: a run over its output limit is killed soon, even if its grace is long'],
      [
        'product/contracts/runner/talking-runner.contract.ts',
        'reports an agent with endless output as failed, at a limit of its own, and can stop it',
      ],
      [
        'product/contracts/files/result-inbox-ended.contract.ts',
        'R20: retains only the result of an ended assignment, and on request the output of its run',
      ],
      ['core/sidecar/drain-and-stop.test.ts', 'R20: kept files of recorded results are removed oldest first once they exceed their limit'],
      [
        'core/sidecar/drain-and-stop.test.ts',
        'R20: kept files of failed assignments count towards refused/, kept files of recorded ones are removable',
      ],
    ],
  },
  {
    who: 'hostile agent',
    stoppedBy: 'a process that left its tree is found by its control group (cgroup v2), or by the run id in its environment',
    tests: [
      ['plugins/run-kit/run-groups.test.ts', 'R11: no process of a run survives once the run …'],
      [
        'plugins/run-kit/run-groups.test.ts',
        'R11: a run is not over while its cgroup has members, even if each is gone by the time it is read',
      ],
      ['plugins/command.test.ts', 'a stop ends the whole tree: own groups, own sessions, orphans, all ignoring SIGTERM'],
      ['plugins/run-kit/enforce-stop.test.ts', 'R11: a stop that a runner ignores is enforced by run id, and reported'],
    ],
  },
  {
    who: 'old run of the same task',
    stoppedBy: 'while it may be alive, a flat name counts only if it names its generation',
    tests: [
      [
        'product/contracts/files/result-inbox-flat.contract.ts',
        'R8: while an earlier run may be alive, only a flat file that names its generation counts',
      ],
      [
        'product/contracts/files/result-inbox-flat.contract.ts',
        'R8: flat files that exist before the wake belong to an earlier run and are refused, whatever their mtime',
      ],
      ['core/sidecar/flat-names.test.ts', 'R8: after an earlier run that …'],
    ],
  },
  {
    who: 'stranger’s process',
    stoppedBy: 'process ids count only with start time, boot and run id: an unrelated process is neither signalled nor taken for a run',
    tests: [
      ['plugins/run-kit/run-identity.test.ts', 'R11: a foreign daemon that now has the process group number of a run is never signalled'],
      [
        'plugins/run-kit/run-identity.test.ts',
        'R10, R22: where run ids cannot be read, a run that may still be alive does not count as ended',
      ],
      ['plugins/command.test.ts', 'a process that has the pid of the run’s process by chance is left alone'],
    ],
  },
  {
    who: 'second sidecar on one folder',
    stoppedBy: 'the lock of its journal, in containers too; a copied folder is a separate instance',
    tests: [
      [
        'adapters/files/journal-file-kill.test.ts',
        'a second process is refused with the PID of the first, and takes over once the first is killed',
      ],
      [
        'adapters/files/journal-file.test.ts',
        'R22: a folder locked by another container is refused, and taken over once its holder is gone',
      ],
      ['adapters/files/journal-file.test.ts', 'R22: of two processes with PID 1 in separate namespaces, only one gets the folder'],
      [
        'adapters/files/journal-file-copy.test.ts',
        'R10: a copied data directory is a new instance, and a copy until its first save, even while the original runs',
      ],
    ],
  },
  {
    who: 'submitter',
    stoppedBy: 'a config that would give task text to an interpreter as its program, or as an option, is refused or triggers a warning',
    tests: [
      ['plugins/command-problems.test.ts', 'options that match the schema and are still invalid'],
      ['plugins/command.test.ts', 'task text that a program may parse as an option causes a warning'],
    ],
  },
  {
    who: 'network behind a webhook',
    stoppedBy: 'private addresses only with allowPrivate, checked after name resolution; no redirects; a bounded answer in bounded time',
    tests: [
      ['plugins/webhook.test.ts', 'private addresses are not called unless the config says so'],
      ['plugins/webhook.test.ts', 'which addresses are private'],
      ['plugins/webhook.test.ts', 'what an answer means'],
      ['plugins/webhook.test.ts', 'no answer, an endless answer and no server are retryable failures'],
    ],
  },
  {
    who: 'operator or admin, or their stolen token',
    stoppedBy:
      'every administrative action is in the audit log, by the same commit, with actor and address, in a hash chain over all hubs of the ' +
      'database; a changed, removed or inserted entry is found by `agentcom audit verify`, and a rewritten chain by a head that was recorded elsewhere',
    tests: [
      [AUDIT, 'every administrative act is recorded with its actor, address and object'],
      [AUDIT, 'an enrollment code is recorded when it is created and when it is used, without the code itself'],
      [AUDIT, 'an act that cannot be recorded is not done'],
      [AUDIT, 'signing in and out is recorded, at a limited rate'],
      [AUDIT, 'wrong tokens are counted and recorded as one entry'],
      [AUDIT_STORE, 'commits changes and their entries together or not at all'],
      [AUDIT_STORE, 'records tokens, enrollment secrets and agent removals with the change, and nothing if nothing changes'],
      [AUDIT_STORE, 'concurrent appends form one chain'],
      [AUDIT_STORE, 'removes the oldest entries beyond age and number, and retains the hash that the rest builds on'],
      ['core/domain/audit-chain.test.ts', 'changing any field of any entry breaks the chain there'],
      ['core/domain/audit-chain.test.ts', 'removing, replacing or inserting an entry breaks the chain there'],
      [AUDIT_CLI, 'the chain of the hub is verified, optionally against an entry noted earlier'],
      [AUDIT_CLI, 'verifying an export reports where it was changed, cut or spliced'],
      [AUDIT_CLI, 'removal of the newest, oldest or middle entries of a hub is detected'],
    ],
  },
  {
    who: 'all of them',
    stoppedBy: 'secrets and the environments of agents never reach logs',
    tests: [
      ['security/secrets.test.ts', 'secrets and agent environments never reach logs, whatever fails'],
      [HTTP, 'no secret reaches the log'],
    ],
  },
  {
    who: "agent's output",
    stoppedBy:
      'secrets that the sidecar knows are redacted before anything leaves; its own environment, and a token in it, cannot be read by the agent (Linux); a token file in dataDir can, where both have one user',
    tests: [
      [
        'security/secrets.test.ts',
        'an agent cannot read the token of its sidecar, neither in its own environment nor in /proc/PPID/environ',
      ],
      ['core/sidecar/redact-secrets.test.ts', 'every input path of agent text is redacted, and field names and types are unchanged'],
      ['security/secrets.test.ts', 'a secret in anything that an agent emits never appears in the hub, its logs, its events or its API'],
      ['plugins/programs/acp.test.ts', 'agent text is reported in whole lines, so that a secret in it can be found'],
      ['plugins/programs/gemini.test.ts', 'agent text is reported in whole lines, so that a secret in it can be found'],
      ['core/sidecar/redact-secrets.test.ts', 'the remainder of a secret that a runner shortened is redacted, also inside values'],
    ],
  },
];
