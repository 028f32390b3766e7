/** `agentcom keys`: the key that a submitter signs tasks with. */
import { resolve } from 'node:path';
import type { Command } from 'commander';
import type { Action, Context } from '../cli-context.ts';
import { writeNewFile } from '../new-file.ts';

const KEY_FILE = 'agentcom-key.jwk';

export function addKeys(program: Command, action: Action): void {
  const keys = program.command('keys').description('Create a key for signing tasks, or print its public key');
  keys
    .command('init [file]')
    .description(`Write a new private Ed25519 key into a file (default: ${KEY_FILE}), and print its public key`)
    .action(action(init));
  keys.command('show <file>').description('Print the public key of a private key, for sidecar.accept.signedBy').action(action(show));
}

async function init(context: Context, _options: object, given: string = KEY_FILE): Promise<void> {
  const file = resolve(context.environment.cwd, given);
  const { exportJWK, generateKeyPair } = await import('jose');
  const { privateKey } = await generateKeyPair('EdDSA', { crv: 'Ed25519', extractable: true });
  const { kty, crv, x, d } = await exportJWK(privateKey);
  await writeNewFile(file, `${JSON.stringify({ kty, crv, x, d })}\n`, {
    mode: 0o600,
    hint: 'A key that is in use is not replaced: name another file.',
  });
  context.output.note(`Wrote the private key ${file}. Keep it: whoever has it can sign tasks as you.`);
  await printKey(context, file);
}

const show = (context: Context, _options: object, file: string): Promise<void> => printKey(context, resolve(context.environment.cwd, file));

async function printKey({ output }: Context, file: string): Promise<void> {
  const { signingKey } = await import('../../signing/key-files.ts');
  const { kid, publicJwk } = await signingKey(file);
  output.data({ file, thumbprint: kid, public_key: publicJwk });
  output.line(JSON.stringify(publicJwk));
  output.note(
    `Thumbprint: ${kid}\nFor the config of a sidecar: accept: { signedBy: [{ name: 'me', publicKey: ${JSON.stringify(publicJwk)} }] }`,
  );
}
