/** The key of a sidecar's machine: made at its first start, and kept in its data directory. */
import { createPrivateKey, generateKeyPairSync, randomUUID, sign, type KeyObject } from 'node:crypto';
import { link, stat, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { modeOfOthers, readRegularFile } from '../../adapters/kit/platform-files.ts';
import { AgentcomError, messageOf, withoutStop } from '../../core/errors/agentcom-error.ts';
import type { DeviceKey } from '../../core/ports/trust/device-key.ts';

export const DEVICE_KEY_FILE = 'device-key.jwk';

/** Rejects with `AC_DATA_DIR` for a file that is not a key or that other users may read: a new key would not be the one that the hub knows. */
export async function deviceKeyIn(dataDir: string, platform: string = process.platform): Promise<DeviceKey> {
  const file = join(dataDir, DEVICE_KEY_FILE);
  return deviceKeyOf((await readKey(file, platform)) ?? (await makeKey(file, platform)));
}

/** As `deviceKeyIn`, but makes none; null: there is none yet. */
export async function existingDeviceKey(dataDir: string, platform: string = process.platform): Promise<DeviceKey | null> {
  const key = await readKey(join(dataDir, DEVICE_KEY_FILE), platform);
  return key === null ? null : deviceKeyOf(key);
}

function deviceKeyOf(key: KeyObject): DeviceKey {
  const { x } = key.export({ format: 'jwk' });
  return { publicKey: String(x), sign: (text) => sign(null, Buffer.from(text, 'utf8'), key).toString('base64url') };
}

/** Writes the file whole or not at all, and never over another: two processes may start in one folder. */
async function makeKey(file: string, platform: string): Promise<KeyObject> {
  const { privateKey } = generateKeyPairSync('ed25519');
  const unfinished = `${file}.${randomUUID()}`;
  await writeFile(unfinished, `${JSON.stringify(privateKey.export({ format: 'jwk' }))}\n`, { mode: 0o600, flush: true });
  try {
    await link(unfinished, file);
    return privateKey;
  } catch (thrown) {
    const other = await readKey(file, platform);
    if (other === null) throw thrown;
    return other;
  } finally {
    await unlink(unfinished);
  }
}

/** Null: there is none yet. */
async function readKey(file: string, platform: string): Promise<KeyObject | null> {
  try {
    const text = readRegularFile(file).toString('utf8');
    if (modeOfOthers((await stat(file)).mode, platform) !== 0) throw new Error('other users may read it; run chmod 600 on it');
    const key = createPrivateKey({ key: JSON.parse(text) as never, format: 'jwk' });
    if (key.asymmetricKeyType !== 'ed25519') throw new Error(`expected an Ed25519 key, found ${String(key.asymmetricKeyType)}`);
    return key;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw new AgentcomError(
      'AC_DATA_DIR',
      `Cannot use the device key ${file}: ${withoutStop(messageOf(cause))}. If it is lost, remove the file and ask an operator to run agentcom takeover for this agent.`,
      { cause },
    );
  }
}
