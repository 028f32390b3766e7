/** Faults of a sidecar: its machine, its agent's program, its hubs, its token, its data directory. */
import { chmod, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { systemClock } from '../../../adapters/clock-system/system-clock.ts';
import { systemDigest } from '../../../adapters/ids-system/system-digest.ts';
import { fileJournal } from '../../../adapters/journal-file/file-journal.ts';
import { VERSION } from '../../../apps/version.ts';
import type { AgentId } from '../../../core/domain/ids.ts';
import { silentLog } from '../../../core/ports/log.ts';
import { aToken } from '../../product/contracts/fixtures.ts';
import { freePort } from '../cli/cli-world.ts';
import { runningHub } from '../running-hub.ts';
import {
  hubsAt,
  onlySidecar,
  otherVersion,
  proxyServer,
  tlsServer,
  webServer,
  type Fault,
  type FaultWorld,
  type Machine,
} from './fault-world.ts';
import { UNHURRIED } from '../../adapters/http/hub-bench.ts';

/** An agent's program that answers as these lines of sh say. */
async function program(m: Machine, lines: string): Promise<string> {
  const file = join(m.folder, 'program');
  await writeFile(file, `#!/bin/sh\n${lines}\n`, { mode: 0o755 });
  return file;
}

const TOKEN_HINT = /`agentcom tokens create --agent a1`/;

export const sidecarFaults = ({ hub, hubPort, token, usedSecret }: FaultWorld): readonly Fault[] => {
  let made = 0;
  const sidecarAt = (port: number, more = `token: '${token}'`, scheme = 'ws'): string => `${hubsAt(port, scheme)}, ${more}`;
  const tokenOf = async (
    role: 'viewer' | 'agent',
    more: { readonly expiresAtMs?: number; readonly agentId?: string } = {},
  ): Promise<string> => {
    const text = `a-token-of-the-faults-${(made += 1)}`;
    const { expiresAtMs = null, agentId = null } = more;
    const record = { id: `tok-${`fa${made}`.padStart(32, '0')}`, name: text, role, hash: systemDigest().sha256(text) };
    await hub.storage.agents.addToken(aToken({ ...record, agentId: agentId as AgentId | null, expiresAtMs }));
    return text;
  };
  return [
    {
      name: 'this machine’s clock is wrong',
      plant: async (m, t) => {
        const ahead = await runningHub({ clockAheadMs: 600_000, limits: UNHURRIED });
        t.teardown(() => ahead.stop());
        await onlySidecar(m, sidecarAt(Number(new URL(ahead.url).port), `token: '${await ahead.token('agent', 'a1')}'`));
      },
      check: 'clock',
      found: /^this machine's clock is 10 min behind the hub's$/,
      hint: /`timedatectl set-ntp true`/,
    },
    {
      name: 'the program of the agent is missing',
      plant: (m) => onlySidecar(m, `${sidecarAt(hubPort)}, wake: command({ argv: ['no-such-agent'] })`),
      check: 'wake_runner',
      found: /^runner command, program: There is no "no-such-agent" in ".*" or on PATH$/,
      hint: /^Install it or correct argv\[0\]\. PATH: /,
    },
    {
      name: 'the program of the agent is not logged in',
      plant: async (m) => {
        const bin = await program(m, `[ "$1" = --version ] && echo 'codex-cli 0.169.0' || { echo 'Not logged in' >&2; exit 1; }`);
        await onlySidecar(
          m,
          `${sidecarAt(hubPort)}, wake: codex({ bin: '${bin}', cwd: '.', env: { CODEX_API_KEY: '', OPENAI_API_KEY: '', CODEX_HOME: '${m.folder}' } })`,
        );
      },
      check: 'wake_runner',
      found: /^runner codex, login: Codex is not logged in$/,
      hint: /^Run "codex login" on the sidecar's machine/,
    },
    {
      name: 'the program of the agent has a broken config',
      plant: async (m) => {
        const error = 'Error loading config.toml: invalid key at line 1';
        const bin = await program(m, `[ "$1" = --version ] && echo 'codex-cli 0.169.0' || { echo '${error}' >&2; exit 1; }`);
        await onlySidecar(m, `${sidecarAt(hubPort)}, wake: codex({ bin: '${bin}', cwd: '.' })`);
      },
      check: 'wake_runner',
      found: /^runner codex, settings: Codex cannot load its config: invalid key at line 1$/,
      hint: /^Fix that file\.$/,
    },
    {
      // Before, nothing was found: that hub may be stopped, whatever the address of the sidecar.
      name: 'the hub of the same config listens at another address',
      plant: async (m) => m.writeConfig({ hub: `listen: { port: ${await freePort()} }`, sidecar: sidecarAt(await freePort()) }),
      check: 'hub_away',
      found: /^no hub answers at ws:\/\/127\.0\.0\.1:\d+\/ws: connect ECONNREFUSED/,
      hint: /or correct sidecar\.hubs of .*agentcom\.config\.ts/,
    },
    {
      name: 'no hub listens',
      plant: async (m) => onlySidecar(m, sidecarAt(await freePort())),
      check: 'hub_away',
      found: /^no hub answers at ws:\/\/127\.0\.0\.1:\d+\/ws: connect ECONNREFUSED/,
      hint: /^Start the hub with `agentcom hub`, or correct sidecar\.hubs of .*agentcom\.config\.ts/,
    },
    {
      name: 'wss:// to a hub without TLS',
      plant: (m) => onlySidecar(m, sidecarAt(hubPort, undefined, 'wss')),
      check: 'hub_tls',
      found: /^wss:\/\/127\.0\.0\.1:\d+\/ws has the wrong scheme: what answers there speaks plain text, not TLS$/,
      hint: /^Write "ws:\/\/127\.0\.0\.1:\d+\/ws" in sidecar\.hubs of .*, or set hub\.listen\.tls\.$/,
    },
    {
      name: 'ws:// to a server with TLS',
      plant: async (m, t) => onlySidecar(m, sidecarAt(await tlsServer(t, m.folder))),
      check: 'hub_tls',
      found: /has the wrong scheme: what answers there speaks TLS, not plain text$/,
      hint: /^Write "wss:\/\/127\.0\.0\.1:\d+\/ws" in sidecar\.hubs of /,
    },
    {
      name: 'https:// to a hub without TLS, for commands',
      plant: async () => ({ AGENTCOM_API_URL: `https://127.0.0.1:${hubPort}`, AGENTCOM_ADMIN_TOKEN: hub.adminToken }),
      check: 'hub_tls',
      found: /^https:\/\/127\.0\.0\.1:\d+ has the wrong scheme: what answers there speaks plain text, not TLS$/,
      hint: /^Write "http:\/\/127\.0\.0\.1:\d+" in AGENTCOM_API_URL/,
    },
    {
      name: 'a certificate that is not trusted',
      plant: async (m, t) => onlySidecar(m, sidecarAt(await tlsServer(t, m.folder), undefined, 'wss')),
      check: 'hub_certificate',
      found: /^the certificate of wss:\/\/127\.0\.0\.1:\d+\/ws is not accepted: .*self-signed/,
      hint: /sidecar\.tls\.caFile/,
    },
    {
      name: 'something other than a hub answers',
      plant: async (m, t) => onlySidecar(m, sidecarAt(await webServer(t))),
      check: 'hub_other',
      found: /^what answers at ws:\S+ is not an AgentCom hub: it answers GET \/health with 404 and text\/html$/,
      hint: /^Correct the address in sidecar\.hubs of /,
    },
    {
      name: 'a proxy gives the hub a name that it does not know',
      plant: async (m, t) => onlySidecar(m, sidecarAt(await proxyServer(t, hubPort, 'elsewhere.example.com'))),
      check: 'hub_name',
      found: /^the hub at ws:\S+ does not know the name that it was asked for$/,
      hint: /^Add "127\.0\.0\.1" to hub\.listen\.names .* If a proxy sends the hub another name in the header Host, add that one/,
    },
    {
      name: 'a proxy that does not pass WebSockets on',
      plant: async (m, t) => onlySidecar(m, sidecarAt(await proxyServer(t, hubPort))),
      check: 'hub_away',
      found: /expected a WebSocket, found HTTP 404\. .* A proxy in front of it must pass on the headers Upgrade and Connection$/,
      hint: /the proxy\.$/,
    },
    {
      name: 'a token that the hub never issued, from the config',
      plant: (m) => onlySidecar(m, sidecarAt(hubPort, `token: 'never-issued'`)),
      check: 'token',
      found: /does not know the token of agent a1: .*; it was taken from sidecar\.token of .*agentcom\.config\.ts$/,
      hint: /`agentcom tokens create --agent a1`, put it into sidecar\.token of /,
    },
    {
      name: 'a token that was revoked, from the variable',
      plant: async (m) => {
        const { token: revoked = '', id } = await hub.api.tokens.create({ agent_id: 'a9' });
        await hub.api.tokens.revoke(id);
        await m.writeConfig({ sidecar: `${hubsAt(hubPort)}, agentId: 'a9', dataDir: 'a1'` });
        return { AGENTCOM_TOKEN: revoked };
      },
      check: 'token',
      found: /does not know the token of agent a9: .*revoked.*; it was taken from AGENTCOM_TOKEN$/,
      hint: /`agentcom tokens create --agent a9`, set AGENTCOM_TOKEN to it/,
    },
    {
      name: 'a token that has expired, from the state file',
      plant: async (m) => {
        await onlySidecar(m, hubsAt(hubPort));
        const expired = await tokenOf('agent', { agentId: 'a1', expiresAtMs: Date.now() - 60_000 });
        await writeFile(join(m.sidecarDir, 'token'), expired, { mode: 0o600 });
      },
      check: 'token',
      found: /no longer accepts the token of agent a1: it has expired; it was taken from .*a1\/token$/,
      hint: /write it to .*a1\/token, and restart the sidecar/,
    },
    {
      name: 'an operator token, which the config allows to send',
      plant: async (m) => onlySidecar(m, sidecarAt(hubPort, `token: '${await tokenOf('viewer')}', plainToken: true`)),
      check: 'token',
      found: /^the token of agent a1 belongs to a viewer; it was taken from sidecar\.token of /,
      hint: TOKEN_HINT,
    },
    {
      name: 'a token of another agent',
      plant: async (m) => onlySidecar(m, sidecarAt(hubPort, `token: '${await hub.token('agent', 'a2')}'`)),
      check: 'token',
      found: /does not know the token of agent a1: .*belongs to another agent/,
      hint: TOKEN_HINT,
    },
    {
      name: 'a token that others may read',
      plant: async (m) => {
        await onlySidecar(m, hubsAt(hubPort));
        await writeFile(join(m.sidecarDir, 'token'), token, { mode: 0o644 });
        await chmod(join(m.sidecarDir, 'token'), 0o644);
      },
      check: 'secret_file',
      found: /a1\/token contains a secret and is accessible to other users \(mode 644\)$/,
      hint: /^Run: chmod 600 .*a1\/token$/,
    },
    {
      name: 'neither a token nor a secret',
      plant: (m) => onlySidecar(m, hubsAt(hubPort)),
      check: 'no_token',
      found: /^the sidecar of agent a1 has no token and no secret to enroll with$/,
      hint: /"agentcom tokens create --agent a1" and set AGENTCOM_TOKEN here/,
    },
    {
      name: 'an enrollment secret that was used',
      plant: async (m) => {
        await onlySidecar(m, hubsAt(hubPort));
        return { AGENTCOM_ENROL_SECRET: await usedSecret() };
      },
      check: 'enrol_secret',
      found: /does not know the enrollment secret in AGENTCOM_ENROL_SECRET: it is wrong, used or over 15 minutes old$/,
      hint: /`agentcom invite`/,
    },
    {
      name: 'a token of commands that the hub never issued',
      plant: async () => ({ AGENTCOM_API_URL: hub.url, AGENTCOM_ADMIN_TOKEN: 'never-issued' }),
      check: 'cli_token',
      found: /does not accept the token from AGENTCOM_ADMIN_TOKEN: /,
      hint: /^Correct or omit AGENTCOM_ADMIN_TOKEN\..*`agentcom tokens create --name NAME --role admin`/,
    },
    {
      name: 'a token of commands that is an agent’s',
      plant: async () => ({ AGENTCOM_API_URL: hub.url, AGENTCOM_ADMIN_TOKEN: token }),
      check: 'cli_token',
      found: /^the token from AGENTCOM_ADMIN_TOKEN is that of agent a1: commands need one of a person or program$/,
      hint: /^Correct or omit AGENTCOM_ADMIN_TOKEN\./,
    },
    {
      name: 'a hub of an older version',
      plant: async (m, t) => onlySidecar(m, sidecarAt(await otherVersion(t, hubPort, `"${VERSION}"`, '"0.0.9"'))),
      check: 'hub_version',
      severity: 'notice',
      found: /^the hub at http:\S+ runs version 0\.0\.9, this is \d/,
      hint: /^Update the hub first, then its sidecars/,
    },
    {
      name: 'a data directory that the sidecar of another agent uses',
      plant: async (m, t) => {
        const other = fileJournal({ dataDir: m.sidecarDir, agentId: 'a2', clock: systemClock(), log: silentLog });
        await other.open();
        t.teardown(() => other.close());
        await onlySidecar(m, sidecarAt(hubPort));
      },
      check: 'data_dir_held',
      found: new RegExp(`a1 is in use by the sidecar of agent a2 \\(process ${process.pid}\\)$`),
      hint: /^Give each sidecar a sidecar\.dataDir of its own, or stop that process\.$/,
    },
    {
      name: 'a data directory that others may enter',
      plant: async (m) => {
        await onlySidecar(m, sidecarAt(hubPort));
        await chmod(m.sidecarDir, 0o755);
      },
      check: 'open_to_others',
      found: /^other users may enter .*a1 \(mode 755, expected 700\)$/,
      hint: /^chmod 700 \S+a1$/,
    },
    {
      name: 'a journal without a good copy',
      plant: async (m) => {
        await onlySidecar(m, sidecarAt(hubPort));
        for (const name of ['queue.json', 'queue.json.1']) await truncate(join(m.sidecarDir, name), 10);
      },
      check: 'journal_lost',
      found: /queue\.json .*, and .*queue\.json\.1 is not a good copy either$/,
      hint: /restore a good queue\.json.*or give the sidecar an empty dataDir/,
    },
    {
      name: 'an agent id that another machine uses',
      plant: async (m) => {
        await hub.agent('a7', { instance_id: 'another-machine' });
        await m.writeConfig({
          sidecar: `${sidecarAt(hubPort, `token: '${await tokenOf('agent', { agentId: 'a7' })}'`)}, agentId: 'a7', dataDir: 'a1'`,
        });
      },
      check: 'agent_id_in_use',
      found: /^another machine is connected to the hub at http:\S+ as agent a7$/,
      hint: /`agentcom takeover a7`/,
    },
  ];
};
