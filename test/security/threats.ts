/**
 * Who tries what, what stops it, and the tests that show it. `npm run promises` writes this table into SECURITY.md; a test
 * that is renamed or removed fails threats.test.ts until its row says what took its place.
 * Long on purpose: it is one table.
 */
import type { NamedTest } from './named-tests.ts';

/** One way in, and what stops it. */
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
      [TOKENS, 'a token of a role is shown once and works at once'],
    ],
  },
  {
    who: 'network peer',
    stoppedBy: '64 KiB a frame, 132 KiB in all and 10 s before identify',
    tests: [
      [PEER, 'R20: 64 KiB before identify is taken, a byte more closes with 1009'],
      [PEER, 'R20: what arrives while an identify is looked at is bounded as one frame before it'],
      [PEER, 'R20: who has not identified within 10 s is closed'],
      [PEER, 'R20: strangers over the bound are turned away with 1013; those who identified do not count'],
      [TRANSPORT, 'R20: of a frame of a stranger no more is kept than it may send, however long it says that it is'],
      [BAD, 'connections before identify'],
    ],
  },
  {
    who: 'network peer',
    stoppedBy: 'throttled by address, seen through trustedProxies, until identify',
    tests: [
      [PEER, 'wrong tokens hold off their address, and nobody can bar an agent by its name'],
      [PEER, 'connections that an address opened before it was held off have one wrong frame each'],
      [BAD, 'who sent ten wrong frames is held off for a while, the address before identify, the agent after; nobody else'],
      [TOKENS, 'an address that guesses is held off; those who were let in are not'],
      [TOKENS, 'guesses that are sent at the same moment are limited as others are'],
      [TOKENS, 'behind a trusted proxy the address is the one that it names'],
    ],
  },
  {
    who: 'impostor hub, or man in the middle',
    stoppedBy:
      'the hub proves that it knows the token before any token or task is sent; the token itself is sent only with sidecar.plainToken. ' +
      'Enrolment is proved the same way, with the enrolment secret; an older hub gets the secret only over wss, or when plainToken or ' +
      '`agentcom join --insecure` trusts whoever answers',
    tests: [
      [
        'apps/enrolment.test.ts',
        'R22: an impostor on the port is told nothing of the secret that opens anything, and no token of his is believed',
      ],
      ['apps/enrolment.test.ts', 'R22: who passes an enrolment on reads neither secret nor token, and what he changes is not believed'],
      [TOKENS, 'R7: what was overheard of one enrolment opens nothing for another agent, of other nonces or with another secret'],
      ['apps/doctor/doctor-machine.test.ts', 'the hub proves that it knows the token, and never sees it'],
      ['security/impostor.test.ts', 'who reads every frame between a sidecar and its hub never sees the token, and can use nothing of it'],
      ['core/sidecar/hub-proof.test.ts', 'R22: over a whole day a hub that cannot prove itself hears hello, and nothing of the token'],
      ['core/sidecar/hub-proof.test.ts', 'R22: a proof by another key, of another connection or for another agent is told nothing more'],
      [PROOF, 'R7: a proof that was overheard opens nothing on another connection'],
    ],
  },
  {
    who: 'network peer',
    stoppedBy: 'a hello tells nothing of which tokens there are, and guessing counts',
    tests: [
      [PROOF, 'a hint that nobody has, that of another agent and that of a revoked token get the same answer as one that is right'],
      [PROOF, 'R20: hellos that guess hold off their address, and who says nothing after it is closed in its time'],
    ],
  },
  {
    who: 'hub that was taken over',
    stoppedBy:
      'a sidecar can be told to run only what a submitter signed, for it and for now: tampered with, unsigned, by another key, expired, for others or replayed, it is rejected before anything is written or woken',
    tests: [
      [HOSTILE_HUB, 'a sidecar that trusts a submitter runs what this submitter signed, and nothing that the hub makes of it'],
      [HOSTILE_HUB, 'a retry of the same task is no replay'],
      [SIGNATURES, 'everything else is invalid, and says why'],
      [SIGNATURES, 'a key counts until its last day'],
      [CLAIMS, 'each part of a task is in its text'],
      [CLAIMS, 'a sidecar runs what was signed, where and while it was signed for'],
      [CLAIMS, 'claims are of this form and no other: one that is unknown may forbid to run the task'],
      [NONCES, 'the same task may come again, another one not, and neither after a restart'],
      [NONCES, 'beyond its bound, what may have been forgotten is refused, and newer signatures are not'],
      [SIGNED, 'an offer is checked first, and accepted once it is trusted'],
      [SIGNED, 'the hub does not choose the session in which signed text is read'],
    ],
  },
  {
    who: 'submitter',
    stoppedBy:
      'a sidecar can be told whose tasks it accepts, of which repositories, and for how long; what it rejects ends elsewhere and is no strike',
    tests: [
      [POLICY, 'each condition that is given must hold'],
      [POLICY, 'a task that the policy does not allow is rejected with the reason, before anything is written or woken'],
      [REJECTIONS, 'R12 R13: it goes to another agent at once, spends no attempt, and counts neither as a strike nor as busy'],
      [REJECTIONS, 'R12: it is never offered to the same agent again; why it waits is explained, and it ends'],
    ],
  },
  {
    who: 'network peer',
    stoppedBy: 'throttled by session after identify',
    tests: [
      [PEER, 'after identify it is the session that is held off, not its address'],
      [HTTP, 'a token that asks too often'],
    ],
  },
  {
    who: 'network peer',
    stoppedBy: 'frames that are none cost their own socket, and are counted',
    tests: [
      ['product/contracts/wire/hub-transport-raw.contract.ts', 'ends a socket once, and no other, for …'],
      ['adapters/http/tasks.test.ts', 'R7: stats have a number for everything, also for what was refused'],
      ['fuzz/readers.test.ts', 'R22: whatever stands in a frame, the decoder answers and never throws'],
    ],
  },
  {
    who: 'impostor hub, or man in the middle',
    stoppedBy:
      'TLS: a certificate of a trusted authority for the name, or the one key whose fingerprint the client has, compared before a byte is ' +
      'sent. A code to join with carries the fingerprint, so that the first connection is safe, too',
    tests: [
      [TLS, 'a hub with another key gets the handshake and not a byte more: no token, no frame, no request'],
      [TLS, 'without a fingerprint, the authority and the name of the certificate decide'],
      [JOINING, 'R22: a machine joins with a code that names the key of the hub, and its sidecar keeps both'],
      [JOINING, 'R22: a code is not given away to a hub with another key, or over plain HTTP, and is not used up'],
      [JOINING, 'R22: a sidecar enrols with the code in AGENTCOM_ENROL_SECRET, and connects to that key from then on'],
    ],
  },
  {
    who: 'network peer',
    stoppedBy:
      'TLS 1.2 at least; a plain request to the TLS port gets nothing; handshakes are bounded in time and count as connections of their ' +
      'address; a certificate that cannot be used never replaces one that can',
    tests: [
      [TLS, 'TLS 1.1 is refused, 1.2 is not'],
      [TLS, 'plain HTTP and nonsense get no answer but the end of their connection, and cost nobody else'],
      [TLS, 'R20: a handshake that never ends is closed in its time'],
      [TLS, 'R20: handshakes count as connections of their address; WebSockets do not'],
      [TLS, 'a renewed certificate is shown to new connections, and no open one is lost'],
      ['apps/tls/served-certificate.test.ts', 'a broken pair changes nothing; what remains broken is logged once, with its files'],
      [JOINING, 'over HTTPS browsers are told to stay with it, except on loopback'],
    ],
  },
  {
    who: 'network peer',
    stoppedBy: 'plain sockets beyond loopback only with insecure: true, which TLS does not need; no listening without a secret',
    tests: [
      [CONFIG, 'every mistake has its path, what was wanted and what was found'],
      ['apps/process/config.test.ts', 'listening beyond loopback without what makes it safe has a code of its own'],
    ],
  },
  {
    who: 'web page',
    stoppedBy: 'lists of Origin and Host, before anything else is looked at',
    tests: [
      [API, 'another host or origin is refused before its token is looked at'],
      [WIRE, 'upgrades on /ws only, for allowed names only, up to the bound'],
      [BAD, 'sockets with a foreign Origin or Host'],
    ],
  },
  {
    who: 'web page',
    stoppedBy: 'JSON only',
    tests: [[HTTP, 'types and encodings']],
  },
  {
    who: 'web page',
    stoppedBy:
      'a bearer token; the cookie of the dashboard opens nothing from a page of another origin, and another port is another origin',
    tests: [
      [PEER, 'a cookie alone opens nothing'],
      [SESSION, 'R7: a session cookie works from the dashboard only: another page, on another port too, can do nothing with it'],
      [SESSION, 'R7: a token is exchanged for a cookie that no script can read, that no other site is sent, and that is not the token'],
      [SESSION, 'R7: a session ends with its token, with its time, and with the key of the hub'],
      [TOKENS, 'what is no bearer token is refused without a look-up'],
    ],
  },
  {
    who: 'web page',
    stoppedBy: 'answers that may not be kept, framed or loaded from',
    tests: [[API, 'every answer says what it is and may not be kept or framed']],
  },
  {
    who: 'stolen agent token',
    stoppedBy: 'an agent can be bound to a key of its machine, without which the token opens no connection',
    tests: [
      [DEVICE, 'the first key binds the agent: from then on nobody identifies without it'],
      [DEVICE, 'a refused identify takes nothing from the session that is open'],
      [DEVICE, 'a takeover lets another machine bind the agent'],
      [DEVICE_FILE, 'with deviceKey, who stole the token of a sidecar is not its agent'],
      [
        'apps/worker/worker-options.test.ts',
        'with deviceKey, who has only the token of a worker is not its agent; the machine itself comes back',
      ],
      [
        'core/sidecar/hub-proof.test.ts',
        'the key of its machine is proved over what both have said, and only to a hub that has proved itself',
      ],
    ],
  },
  {
    who: 'stolen agent token',
    stoppedBy: 'own assignments only',
    tests: [
      [TOKEN, "R7: another's task: each kind of word is refused and counted, and changes nothing"],
      [TOKEN, 'R7: a frame of a replaced session changes nothing and is counted'],
      [TOKEN, 'a task that the thief holds in its inventory stays where it is'],
      ['adapters/http/tasks.test.ts', 'a submitter and an agent see what is theirs'],
    ],
  },
  {
    who: 'stolen agent token',
    stoppedBy: 'the token fixes capabilities, and max_slots 16',
    tests: [
      [TOKEN, 'the token fixes capabilities and slots, whatever identify says'],
      [TOKEN, 'a token for an agent has max_slots 16 unless it says otherwise'],
      [TOKENS, 'a token of an agent may fix what it claims'],
    ],
  },
  {
    who: 'stolen agent token',
    stoppedBy: 'revoked: its socket at once, its requests within 30 s',
    tests: [
      [TOKEN, 'a revoked token: its socket is closed at once, its next identify refused'],
      [TOKEN, 'a token that is revoked while it is looked up opens nothing'],
      [TOKENS, 'a revoked token is out at once, by its id or by its agent'],
      [ROTATED, 'R7: the sockets of a rotated token are closed when it expires, and at once if it has'],
      [ROTATED, 'the overlap is an hour, none with 0, never longer than the old token had, and bounded'],
      [ROTATED, 'nobody below an admin rotates any token, neither a higher one nor its own'],
      [TOKENS, 'a token revoked elsewhere is out within seconds'],
    ],
  },
  {
    who: 'stolen agent token',
    stoppedBy:
      'one table of routes with what each role reaches, and one of frames with when each may be sent; what has no row is refused, and ' +
      'every role is tried on every row',
    tests: [
      [ROUTE_RIGHTS, 'R7: every route does for every role what its row says, and for nobody else anything'],
      [ROUTE_RIGHTS, 'R7: a list shows a submitter its own tasks and no other, and others all'],
      [ROUTE_RIGHTS, 'a route without roles neither compiles nor passes'],
      [API, 'what has no row is refused'],
      [FRAME_RIGHTS, 'R7: the hub takes each frame of a sidecar in the states of its row, and refuses it in all others'],
      [FRAME_RIGHTS, 'R7: only a live token of role agent identifies, and only the agent that it is for'],
      [FRAME_RIGHTS, 'R22: a sidecar takes each frame of the hub in the phases of its row, and in others does nothing'],
      [FRAME_RIGHTS, 'each frame of the protocol has a row, as its schemas have it'],
    ],
  },
  {
    who: "agent's output",
    stoppedBy: 'control bytes escaped',
    tests: [
      [OUTPUT, 'control bytes are escaped, each of them, in each form of output'],
      [OUTPUT, 'control bytes of a task, its result, its history and its agent reach no terminal from any command'],
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
      [OUTPUT, '__proto__ in a frame, a result or a body is data or nothing, never a prototype'],
      ['core/protocol/http-text.test.ts', 'a body has the fields of its schema and no others'],
    ],
  },
  {
    who: "agent's output",
    stoppedBy: 'depth at most 32, sizes bounded, nothing is unpacked',
    tests: [
      ['security/json-bounds.test.ts', 'R20: JSON 32 deep is taken, 33 deep is refused, in a frame and in a body'],
      [
        'security/json-bounds.test.ts',
        'R20: a frame or a body with more than 100,000 values is refused, and the sender of a report is answered',
      ],
      [PEER, 'a compressed bomb is refused with 415 before a byte of it is looked at'],
      [PEER, 'compression is never agreed on, whatever is offered'],
      ['product/contracts/files/result-inbox-unfinished.contract.ts', 'a result over 8 MiB is too large, and kept; one of 8 MiB is read'],
    ],
  },
  {
    who: 'submitter',
    stoppedBy: 'argv and standard input only, never a shell',
    tests: [
      [HOSTILE, 'every text arrives byte for byte by standard input, file and argument, and as a result'],
      [HOSTILE, 'and nothing of it was run'],
    ],
  },
  {
    who: 'submitter',
    stoppedBy: 'ids by their patterns, and paths from these alone',
    tests: [
      [INBOX, 'builds no path from an id that is none'],
      ['fuzz/readers.test.ts', 'R22: an id that is none never becomes a path, a frame or a body'],
    ],
  },
  {
    who: 'other agent',
    stoppedBy: '10 messages a minute',
    tests: [[OTHER, 'ten messages a minute, the next is refused with when to come again, and counted']],
  },
  {
    who: 'other agent',
    stoppedBy: 'data with its sender named; wakes nobody',
    tests: [
      [OTHER, 'a message names who sent it, whatever it says itself, and is nothing but data'],
      [OTHER, 'a message to a sidecar wakes nobody'],
    ],
  },
  { who: 'other agent', stoppedBy: 'can be off', tests: [[OTHER, 'switched off, nothing is passed on']] },
  {
    who: 'local user',
    stoppedBy: 'folders 0700 and files 0600, refused if wider',
    tests: [
      [LOCAL, 'a data directory is made for its owner alone, and a wider one is refused and left as it is'],
      [LOCAL, 'nothing is written through what another user has put into a data directory'],
      [LOCAL, 'a secret file is written for its owner alone, and one that others may read is not believed'],
      [LOCAL, 'a command does not use an admin token that others may read'],
      ['adapters/files/journal-file.test.ts', 'folders and files are for their owner only, and a wider folder is refused'],
      ['adapters/files/results-files.test.ts', 'folders and files are for their owner only'],
      ['adapters/storage/storage-sqlite-file.test.ts', 'files and folders are for this user alone'],
    ],
  },
  {
    who: 'local user',
    stoppedBy: 'enrolment needs its secret, once, for 15 minutes, on loopback too',
    tests: [
      [TOKENS, 'an agent enrols itself with a secret, once'],
      [TOKENS, 'two that enrol with one secret at once: one gets in'],
    ],
  },
  {
    who: 'hostile agent',
    stoppedBy: 'what it says it holds changes no other assignment, and raises a generation by what a store can have lost at most',
    tests: [
      [
        'core/hub/held-claims.test.ts',
        'R6 R7: whatever another agent says it holds, the assignment of the agent that has the task goes on',
      ],
      ['core/hub/held-claims.test.ts', 'R6: an agent that once had the task cannot take it from the one that has it now'],
      ['core/hub/held-claims.test.ts', 'R6: however often an agent says it, it brings no generation near the ceiling'],
      ['core/hub/held-claims.test.ts', 'R6 R20: an agent that claims a task again and again raises it and writes of it some times only'],
    ],
  },
  {
    who: 'hostile agent',
    stoppedBy: 'histories bounded in bytes and events; late and refused results kept apart, once',
    tests: [
      ['core/hub/load/bounded-history.test.ts', 'R4: a result refused again and again is kept once, told a few times, and then counted'],
      ['core/hub/load/bounded-history.test.ts', 'wakes and progress are bounded in number and bytes for each attempt'],
      [
        'adapters/http/task-history.test.ts',
        'R4: a task with a history of any size is answered with the newest of it, and the rest is paged',
      ],
    ],
  },
  {
    who: 'hostile agent',
    stoppedBy: 'what it says counts per agent, in frames and bytes, over its connections',
    tests: [
      [OTHER, 'R20: what an agent says counts over its connections'],
      [OTHER, 'R20: changes of status and words of wakes are bounded, too, and say when to come again'],
      [OTHER, 'R20: a message to all is small, one to one agent may be large'],
      ['core/hub/load/fair-turns.test.ts', 'R20: an agent with thousands of reports has its turns, and no more'],
    ],
  },
  {
    who: 'broken machine',
    stoppedBy: 'a crash loop, a copied data directory or a version 1 failure spends its own strikes, not the queue',
    tests: [
      [
        'core/hub/crash-loop.test.ts',
        'R12, R13: a sidecar that dies of its assignment gets it twice; then it runs elsewhere, and it counts as a strike',
      ],
      [
        'core/hub/cloned-folder.test.ts',
        'R12, R13: of two processes that say they are the same machine the one at work stays, and its task ends once',
      ],
      [
        'core/hub/version1/version1-lost-runs.test.ts',
        'R12: a result over the frame limit fails its attempt by its kind, and ends with its retries',
      ],
      [
        'core/hub/version1/version1-failures.test.ts',
        'R13: a version 1 machine that cannot wake its agent is paused after three tasks, and loses none of twenty',
      ],
    ],
  },
  {
    who: 'wild clock',
    stoppedBy: 'a store time that never goes back and does not jump; one quiet time for each absence; nothing is removed in it',
    tests: [
      ['core/hub/time/wild-clock.test.ts', 'R4 R15: a clock that is a year ahead for a minute removes no result, and ends no task'],
      ['core/hub/time/wild-clock.test.ts', 'R16 R17: a clock that went back an hour leaves tasks their order, and nobody waits for it'],
      ['core/hub/time/wild-clock.test.ts', 'R15 R16: a clock that steps every four minutes keeps no dead agent’s task'],
      ['core/hub/time/wild-clock.test.ts', 'nothing is removed while silence does not count, and all of it afterwards'],
    ],
  },
  {
    who: 'hostile agent',
    stoppedBy: 'who makes the hub work for nothing waits behind the others, on the wire and for a commit',
    tests: [
      [
        'core/hub/load/wasteful-agents.test.ts',
        'R20: frames that can wait have some milliseconds of a turn of the loop, and each connection one frame in turn',
      ],
      [
        'core/hub/load/wasteful-agents.test.ts',
        'R20: what is behind goes when nothing else waits, and some of it with one batch of seventeen whatever does',
      ],
      [
        'security/json-bounds.test.ts',
        'R20: an object of a hundred thousand names is refused before it is parsed, and its sender is answered',
      ],
    ],
  },
  {
    who: 'odd neighbour',
    stoppedBy: 'batches bounded by work, turns between owners, bodies and reads per token',
    tests: [
      ['core/hub/load/fair-turns.test.ts', 'R20: one submitter with thousands of commands has each other wait for one batch at most'],
      [
        'core/hub/load/many-requirements.test.ts',
        'R12 R20: thousands of requirements that nobody meets are not gone through, and nobody waits behind them',
      ],
      [HTTP, 'R20: one token that announces much and sends little keeps nobody out'],
      ['adapters/http/tasks.test.ts', 'R20: reads of one token are bounded and take turns, and are not in the way of others'],
      ['adapters/storage/storage-lookups.test.ts', 'R20: a token is found while every connection for reads is taken: sqlite'],
    ],
  },
  {
    who: 'network peer',
    stoppedBy:
      'no address takes all places, of sockets or, with `ws()`, of other connections; who floods and reads nothing is closed; a request has one length',
    tests: [
      [PEER, 'R20: silent strangers of one address keep out their own, and nobody of another'],
      [PEER, 'R20: a stranger that pings and takes nothing is closed when more waits than it may send'],
      [
        'adapters/wire/transport-ws.test.ts',
        'R20: one address has half of what is free of connections that are no sockets, and gets room again',
      ],
      [
        'product/contracts/wire/hub-transport-http.contract.ts',
        'refuses a body of two lengths with 400, closes, and serves nothing that was hidden in it',
      ],
    ],
  },
  {
    who: 'second hub',
    stoppedBy: 'one declared order of locks, taken in one place',
    tests: [
      ['locks/locks-pg.test.ts', 'R16: two hubs that complete the two tasks a third one waits for do not deadlock, and it is queued'],
      ['locks/locks-pg.test.ts', 'R16: the agents of a dead hub identify at another beside the sweeps of a third, without a deadlock'],
    ],
  },
  {
    who: 'damaged database',
    stoppedBy: 'rows are checked as they are read; restores that are killed lose nothing',
    tests: [
      [
        'adapters/storage/storage-damaged-rows.test.ts',
        'an agent whose stored state is damaged is left out of the list, and named to who asks for it',
      ],
      ['moving/restore-steps.test.ts', 'R1 R22: a restore that is killed at any of its steps loses nothing, and no hub starts on nothing'],
      ['moving/restore-steps.test.ts', 'R21: after a restore no number of an event comes twice, and streams are told'],
    ],
  },
  {
    who: "agent's output",
    stoppedBy: 'what a runner or a result says wrongly ends its own run: it is copied word by word, bounded, at one door',
    tests: [
      ['core/sidecar/run/runner-words.test.ts', 'R16: what a runner may not say is refused with what was wanted'],
      ['core/sidecar/run/runner-words.test.ts', 'R16: a result that cannot be sent is no result, however it is made'],
      ['core/sidecar/run/runner-words.test.ts', 'R16: texts of a runner are bounded'],
      ['core/sidecar/broken.test.ts', 'R16: a rule that throws ends the run that it was about'],
      ['core/sidecar/run/results.test.ts', 'R4: a result that says our words itself, megabytes of them, is one report that fits its frame'],
      [
        'fuzz/fuzz-sidecar.test.ts',
        'R16, R20, R22: whatever comes in at a door of a sidecar, nothing throws, and what is taken or refused is within its bounds',
      ],
    ],
  },
  {
    who: 'hostile agent',
    stoppedBy: 'what it does to its own folders costs its own task: links, pipes, modes, a million files',
    tests: [
      [
        'security/agent-folders.test.ts',
        'R16, R4: whatever an agent does to its own folders, whenever, the other slot completes, its own task ends with a reason, and its slot is free',
      ],
      ['core/sidecar/broken.test.ts', 'R16: an agent that locks its folder keeps no other from being reported or taken'],
      [
        'adapters/files/results-files.test.ts',
        'R16: an agent that allows nobody to write into its folder is told nothing, and that is no fault of the disk',
      ],
    ],
  },
  {
    who: 'hostile agent',
    stoppedBy: 'its output is limited to 256 MiB per run, and of its files only the result and the streams are kept',
    tests: [
      ['plugins/run-kit/run-kit.test.ts', 'a run that writes more than it may is told as failed, and ends'],
      [
        'product/contracts/runner/talking-runner.contract.ts',
        'tells an agent that prints without end as a failure, at a bound of its own, and can stop it',
      ],
      [
        'product/contracts/files/result-inbox-ended.contract.ts',
        'R20: keeps only the result of an ended assignment, and the streams of its run where they are wanted',
      ],
      ['core/sidecar/standing.test.ts', 'R20: kept files of recorded results go, the oldest first, once they are too much'],
      [
        'core/sidecar/standing.test.ts',
        'R20: what is kept of failed assignments counts as refused/ does, what is kept of recorded ones goes',
      ],
    ],
  },
  {
    who: 'hostile agent',
    stoppedBy: 'what left its tree is found by its control group (cgroup v2), or by the run id in its environment',
    tests: [
      ['plugins/run-kit/run-groups.test.ts', 'R11: nothing that a run started outlives it once it …'],
      [
        'plugins/run-kit/run-groups.test.ts',
        'R11: a run is not over while its group has members, though each has gone by the time that it is read',
      ],
      ['plugins/command.test.ts', 'a stop ends the whole tree: own groups, own sessions, orphans, all deaf to SIGTERM'],
      ['plugins/run-kit/enforce-stop.test.ts', 'R11: a stop that a runner does not heed is carried out by run id, and told'],
    ],
  },
  {
    who: 'old run of the same task',
    stoppedBy: 'a flat name that comes beside it counts only where it names its generation',
    tests: [
      [
        'product/contracts/files/result-inbox-flat.contract.ts',
        'R8: beside an earlier run that may be alive only one that names its generation counts',
      ],
      [
        'product/contracts/files/result-inbox-flat.contract.ts',
        'R8: what is there before the wake is an earlier run’s, whatever its time, and is refused',
      ],
      ['core/sidecar/flat-names.test.ts', 'R8: after an earlier run that …'],
    ],
  },
  {
    who: 'stranger’s process',
    stoppedBy: 'numbers of processes say nothing without start time, boot and run id: it is neither signalled nor taken for a run',
    tests: [
      ['plugins/run-kit/run-identity.test.ts', 'R11: a stranger’s daemon that has the number of a run’s group today is never signalled'],
      ['plugins/run-kit/run-identity.test.ts', 'R10, R22: where run ids are hidden, a run that may live has not ended'],
      ['plugins/command.test.ts', 'a process that has the number of the run’s by chance is left alone'],
    ],
  },
  {
    who: 'second sidecar on one folder',
    stoppedBy: 'the lock of its journal, in containers too; a copied folder is an instance of its own',
    tests: [
      [
        'adapters/files/journal-file-kill.test.ts',
        'a second process is refused with the number of the first, and follows it when that is killed',
      ],
      [
        'adapters/files/journal-file.test.ts',
        'R22: a folder that is held in another container is respected, and followed once its holder is gone',
      ],
      ['adapters/files/journal-file.test.ts', 'R22: of two processes with the number 1 in namespaces of their own one has the folder'],
      [
        'adapters/files/journal-file-copy.test.ts',
        'R10: a copied data directory is another instance, also while the first one lives, until it has a state of its own',
      ],
    ],
  },
  {
    who: 'submitter',
    stoppedBy: 'a config that would give task text to an interpreter as its program, or as an option, is refused or warned of',
    tests: [
      ['plugins/command-problems.test.ts', 'options that fit the schema and still cannot be'],
      ['plugins/command.test.ts', 'task text that a program may take for an option is warned of'],
    ],
  },
  {
    who: 'network behind a webhook',
    stoppedBy: 'private addresses only with allowPrivate, by what a name leads to; no redirects; a bounded answer in bounded time',
    tests: [
      ['plugins/webhook.test.ts', 'private addresses are not called unless the config says so'],
      ['plugins/webhook.test.ts', 'which addresses are private'],
      ['plugins/webhook.test.ts', 'what an answer means'],
      ['plugins/webhook.test.ts', 'no answer, an endless one and no server are failures that can be tried again'],
    ],
  },
  {
    who: 'operator or admin, or their stolen token',
    stoppedBy:
      'every administrative act is in the audit log by the commit of the act, with actor and address, in a hash chain over all hubs of the ' +
      'database; a changed, removed or inserted entry is found by `agentcom audit verify`, and a rewritten chain by a head that was noted elsewhere',
    tests: [
      [AUDIT, 'every administrative act is recorded with who did it, from where and to what'],
      [AUDIT, 'a code to join with is recorded when it is made and when it is used, without the code'],
      [AUDIT, 'an act that cannot be recorded is not done'],
      [AUDIT, 'signing in and out is recorded, and only so often'],
      [AUDIT, 'wrong tokens are counted, and told together'],
      [AUDIT_STORE, 'commits changes and their entries together, or neither'],
      [AUDIT_STORE, 'records tokens, enrolment secrets and removed agents with their change, and nothing where nothing changes'],
      [AUDIT_STORE, 'many that append at once make one chain'],
      [AUDIT_STORE, 'removes the oldest beyond age and number, and keeps the place that the rest follows'],
      ['core/domain/audit-chain.test.ts', 'a change of any field of any entry breaks the chain there'],
      ['core/domain/audit-chain.test.ts', 'an entry that is removed, replaced or put in breaks the chain there'],
      [AUDIT_CLI, 'the chain of the hub is verified, also against an entry that was noted earlier'],
      [AUDIT_CLI, 'an export is verified: where it was changed, cut or put together is told'],
      [AUDIT_CLI, 'a hub whose newest, oldest or middle entries were removed is found out'],
    ],
  },
  {
    who: 'all of them',
    stoppedBy: 'secrets and the environments of agents never reach logs',
    tests: [
      ['security/secrets.test.ts', 'secrets and agent environments never reach logs, whatever fails'],
      [HTTP, 'nothing secret reaches the log'],
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
      ['core/sidecar/redact-secrets.test.ts', 'each way by which an agent’s words come in is covered, and names and marks stay'],
      [
        'security/secrets.test.ts',
        'a secret in the output, progress, result, error and environment of an agent is nowhere in the hub, its logs, its events and its API',
      ],
      ['plugins/programs/acp.test.ts', 'its words are told in whole lines, in which a secret can be found'],
      ['plugins/programs/gemini.test.ts', 'its words are told in whole lines, in which a secret can be found'],
      [
        'core/sidecar/redact-secrets.test.ts',
        'what a runner has left of a secret where it shortened a text is redacted, also within values',
      ],
    ],
  },
];
