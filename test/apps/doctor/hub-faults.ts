/** Faults of a config, of a hub and of its storage. */
import { chmod, rename, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { makeDataDir } from '../../../apps/data-dir.ts';
import { outside } from '../../adapters/storage-places/sqlite-storage-place.ts';
import { freePort } from '../cli/cli-world.ts';
import {
  destroyPages,
  HUB,
  hubsAt,
  listening,
  onlyHub,
  onlySidecar,
  portOf,
  tlsServer,
  webServer,
  type Fault,
  type FaultWorld,
} from './fault-world.ts';

export const hubFaults = ({ hub, hubPort, token }: FaultWorld): readonly Fault[] => [
  {
    name: 'no config file',
    plant: async () => undefined,
    check: 'config',
    found: /^There is no agentcom\.config\.ts.* in .*agentcom-fault/,
    hint: /--config FILE, or write one with "agentcom init"/,
  },
  {
    name: 'a config with a syntax error',
    plant: (m) => writeFile(m.config, 'export default {\n  hub: {,\n};\n'),
    check: 'config',
    found: /agentcom\.config\.ts:2:\d+ cannot be loaded: syntax error/,
    hint: /^Correct .*agentcom\.config\.ts/,
  },
  {
    name: 'an option that does not exist',
    plant: (m) => onlyHub(m, `listen: { prot: 4000 }`),
    check: 'config',
    found: /^hub\.listen\.prot: there is no such option; did you mean "port"\?$/,
    hint: /^Correct hub\.listen\.prot in .*agentcom\.config\.ts\.$/,
  },
  {
    name: 'an option of the wrong type',
    plant: (m) => onlyHub(m, `listen: { port: 'http' }`),
    check: 'config',
    found: /^hub\.listen\.port: expected a whole number .*, found "http"$/,
    hint: /^Correct hub\.listen\.port in /,
  },
  {
    name: 'a variable that the config reads is not set',
    plant: (m) => onlySidecar(m, `${hubsAt(hubPort)}, token: env('AGENTCOM_NOT_SET')`),
    check: 'config',
    found: /AGENTCOM_NOT_SET/,
    hint: /agentcom\.config\.ts/,
  },
  {
    name: 'the port of the hub is used by another program, to which its sidecar then connects',
    plant: async (m, t) => {
      const port = await webServer(t);
      await m.writeConfig({ hub: `listen: { port: ${port} }`, sidecar: `${hubsAt(port)}, token: '${token}'` });
    },
    check: 'port_taken',
    found: /^127\.0\.0\.1:\d+ is taken by another program: it answers GET \/health with 404 and text\/html$/,
    hint: /Stop that program \(`.*\d+.*` names it\).*listen: \{ port: \d+ \} \} in .*agentcom\.config\.ts/,
  },
  {
    name: 'the port of the hub is used by a silent program',
    plant: async (m, t) =>
      onlyHub(
        m,
        `listen: { port: ${portOf(
          await listening(
            t,
            createServer((socket) => socket.destroy()),
          ),
        )} }`,
      ),
    check: 'port_taken',
    found: /is taken by another program/,
    hint: /Stop that program/,
  },
  {
    // Before, it was taken for another program, and the remedy was to stop that or to choose another port.
    name: 'the hub of the config hangs',
    plant: async (m, t) => {
      await writeFile(join(m.hubDir, 'enrol-secret'), 'of a running hub', { mode: 0o600 });
      await onlyHub(m, `listen: { port: ${portOf(await listening(t, createServer()))} }`);
    },
    check: 'port_taken',
    found: /^the program that listens on 127\.0\.0\.1:\d+ gives no answer within 5 s\. It is probably the hub of .*hub, which hangs/,
    hint: /^Check the hub's log\. `.*\d+.*` names the process: if it is the hub, restart it\. If it is not: stop that program/,
  },
  {
    name: 'a running hub whose certificate files were removed',
    plant: async (m, t) => {
      await writeFile(join(m.hubDir, 'enrol-secret'), 'of a running hub', { mode: 0o600 });
      const files = `tls: { certFile: 'gone/cert.pem', keyFile: 'gone/key.pem' }`;
      await onlyHub(m, `listen: { port: ${await tlsServer(t, m.folder)}, ${files} }`);
    },
    check: 'certificate',
    found: /^Cannot read the certificate of the hub: ENOENT: /,
    hint: /^Correct hub\.listen\.tls, or let the user of the hub read the file/,
  },
  {
    name: 'a running hub that serves another certificate than its files have',
    plant: async (m, t) => {
      await writeFile(join(m.hubDir, 'enrol-secret'), 'of a running hub', { mode: 0o600 });
      const port = await tlsServer(t, m.folder);
      await tlsServer(t, m.folder); // Replaces both files.
      await onlyHub(m, `listen: { port: ${port}, tls: { certFile: 'cert.pem', keyFile: 'key.pem' } }`);
    },
    check: 'port_taken',
    found:
      /^the program that listens on \S+ does not answer GET \/health \(.*\)\. It is probably the hub of \S+hub, which serves another certificate than/,
    hint: /^Check the hub's log\. `.*\d+.*` names the process: if it is the hub, restart it\. If it is not: stop that program/,
  },
  {
    name: 'the port of the hub is used by another hub',
    plant: (m) => onlyHub(m, `listen: { port: ${hubPort} }`),
    check: 'port_taken',
    found: /is taken by another hub \(version .*\), whose data is not in .*hub$/,
    hint: /Stop that program/,
  },
  {
    name: 'an address that does not belong to this machine',
    plant: async (m) =>
      onlyHub(m, `listen: { host: '192.0.2.1', port: ${await freePort()}, insecure: true }, adminToken: '${'x'.repeat(40)}'`),
    check: 'listen',
    found: /^Cannot listen on 192\.0\.2\.1:\d+: .*EADDRNOTAVAIL/,
    hint: /^Set hub\.listen\.host to an address of this machine/,
  },
  {
    name: 'the folder of the hub cannot be created',
    plant: async (m) => {
      await rm(m.hubDir, { recursive: true });
      await writeFile(m.hubDir, 'a file');
      await m.writeConfig({ hub: `${HUB}, dataDir: 'hub/data'` });
    },
    check: 'data_dir',
    found: /hub\/data cannot be used: .*\/hub is not a folder$/,
    hint: /`chown`.*hub\.dataDir/,
  },
  {
    // Before, a hub that could not start had left a file behind, and its database was then reported as lost.
    name: 'a hub has only tried to start',
    plant: async (m) => {
      await onlyHub(m);
      await rm(m.hubDir, { recursive: true });
      await makeDataDir(m.hubDir, 'set hub.dataDir');
    },
    check: 'hub_never_started',
    severity: 'notice',
    found: /^there is nothing in .*hub: no hub was started on it yet$/,
    hint: /^If no hub ran here/,
  },
  {
    // Before, a store that was restored here for verification was not inspected, and the doctor found nothing wrong.
    name: 'no hub was started here, and the database elsewhere is damaged',
    plant: async (m) => {
      const file = join(m.folder, 'elsewhere.db');
      await rename(m.database, file);
      await rm(m.hubDir, { recursive: true });
      await m.writeConfig({ hub: `${HUB}, storage: sqlite({ file: ${JSON.stringify(file)} })` });
      await destroyPages(file, 1);
    },
    check: 'file',
    found: /SQLite finds: |SQLITE_CORRUPT/,
    hint: /`agentcom restore FILE --force`/,
  },
  {
    // Before, the hub did not start with it, and the doctor found nothing.
    name: 'others may read the admin token of the hub',
    plant: async (m) => {
      await onlyHub(m);
      await writeFile(join(m.hubDir, 'admin-token'), 'x'.repeat(64));
      await chmod(join(m.hubDir, 'admin-token'), 0o644);
      return { AGENTCOM_API_URL: hub.url }; // Commands read it, too.
    },
    check: 'secret_file',
    found: /hub\/admin-token contains a secret and is accessible to other users \(mode 644\)$/,
    hint: /^Run: chmod 600 .*hub\/admin-token$/,
  },
  {
    name: 'others may read the database',
    plant: async (m) => {
      await onlyHub(m);
      await chmod(m.database, 0o644);
    },
    check: 'storage',
    found: /may be used by others \(mode 644, expected 600\)$/,
    hint: /^Run: chmod 600 ".*agentcom\.db"$/,
  },
  {
    name: 'the database is missing',
    plant: async (m) => {
      await onlyHub(m);
      await rm(m.database);
    },
    check: 'storage',
    found: /agentcom\.db": ENOENT/,
    hint: /`agentcom restore BACKUP`/,
  },
  ...[[0], [1], [4], [11, 12], [33]].map((pages): Fault => ({
    name: `page ${pages.join(' and ')} of the database is destroyed`,
    plant: async (m) => {
      await onlyHub(m);
      await destroyPages(m.database, ...pages);
    },
    check: 'file',
    found: /SQLite finds: |SQLITE_CORRUPT/,
    hint: /`agentcom restore FILE --force`/,
  })),
  {
    name: 'a newer version has written the database',
    plant: async (m) => {
      await onlyHub(m);
      await outside(m.database, `INSERT INTO migrations (name, batch) VALUES ('9998-future', 9), ('9999-future', 9)`);
    },
    check: 'schema_newer',
    found: /written by a newer version: it has 9998-future, 9999-future; this program knows up to /,
    hint: /Install that version of agentcom or a later one, or restore a backup/,
  },
  {
    name: 'there is no Postgres',
    plant: async (m) =>
      onlyHub(
        m,
        `${HUB}, storage: postgres({ url: 'postgres://me:secret@127.0.0.1:${await freePort()}/agentcom', connectWithinMs: 1_000 })`,
      ),
    check: 'storage',
    found: /^Cannot open storage "postgres": .*127\.0\.0\.1:\d+.*: connect ECONNREFUSED 127\.0\.0\.1:\d+$/,
    hint: /^Check that Postgres is running, that the host and port in storage\.url are correct, and that this machine can reach it\.$/,
  },
];
