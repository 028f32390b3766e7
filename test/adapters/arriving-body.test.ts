/** A request body as it arrives, in chunks of any size. */
import t from 'tap';
import { ArrivingBody, CHUNK_BYTES_MIN, CHUNKS_FREE } from '../../adapters/kit/arriving-body.ts';
import { chance } from '../simulation/seeded-chance.ts';

const bodyOf = () => {
  const calls: string[] = [];
  const source = { bufferedBytesMax: 65_536, pause: () => void calls.push('pause'), resume: () => void calls.push('resume') };
  return { body: new ArrivingBody(source), calls };
};

/** The rest of the body, in the pieces it is read in. */
async function piecesOf(body: ArrivingBody): Promise<readonly Uint8Array[]> {
  const pieces: Uint8Array[] = [];
  for (let piece = await body.next(); piece !== null; piece = await body.next()) pieces.push(piece);
  return pieces;
}

t.test('small chunks are read together, in order, and large ones as they arrived', async (t) => {
  const { body } = bodyOf();
  const text = 'abcdefghij'.repeat(100);
  for (const character of text) body.push(Buffer.from(character));
  const large = Buffer.alloc(4_096, 'L');
  body.push(large);
  body.push(Buffer.from('end'));
  body.end();
  const pieces = await piecesOf(body);
  t.equal(Buffer.concat(pieces).toString(), `${text}${large.toString()}end`);
  t.ok(pieces.length < 25, `${pieces.length} pieces of 1,002 chunks`);
  t.ok(pieces.includes(large), 'the large one was not copied');
});

t.test('whatever is read in between, every byte comes once, and the connection is paused and resumed', async (t) => {
  for (let seed = 1; seed <= 30; seed += 1) {
    const { between, is } = chance(`body ${seed}`);
    const { body, calls } = bodyOf();
    const [sent, read]: [Uint8Array[], Uint8Array[]] = [[], []];
    let waiting = 0;
    const readOne = async (): Promise<void> => {
      const piece = (await body.next()) ?? new Uint8Array(0);
      waiting -= piece.byteLength;
      read.push(piece);
    };
    for (let nth = 0; nth < 600; nth += 1) {
      const chunk = Uint8Array.from({ length: between(1, is(0.2) ? 5_000 : 100) }, (_, at) => (nth * 31 + at) % 251);
      sent.push(chunk);
      body.push(chunk);
      waiting += chunk.byteLength;
      if (is(0.3)) await readOne();
      if (is(0.05)) while (waiting > 0) await readOne();
    }
    body.end();
    read.push(...(await piecesOf(body)));
    t.ok(Buffer.concat(sent).equals(Buffer.concat(read)), `seed ${seed}`);
    t.equal(calls.filter((call) => call === 'pause').length, calls.filter((call) => call === 'resume').length, `seed ${seed}`);
  }
});

t.test('a body of one-byte chunks is aborted, and none of it is kept', async (t) => {
  const { body } = bodyOf();
  for (let nth = 0; nth < 65_000; nth += 1) body.push(new Uint8Array(1));
  t.ok(body.isRefused());
  const reason = { message: /too many small chunks: more than 1024, with less than 64 bytes each/ };
  await t.rejects(body.next(), reason);
  body.end();
  t.ok(body.isRefused() && !body.isComplete(), 'even if the rest of it arrives');
  await t.rejects(Promise.resolve(body.whole()), reason);
});

t.test('R20: chunks of a body that nobody reads count, too', (t) => {
  const { body } = bodyOf();
  body.cancel();
  for (let nth = 0; nth < CHUNKS_FREE; nth += 1) body.push(new Uint8Array(1));
  t.notOk(body.isRefused());
  for (let nth = 0; nth < CHUNKS_FREE; nth += 1) body.push(new Uint8Array(1));
  t.ok(body.isRefused());
  t.end();
});

t.test('as many chunks as a body may have are accepted, at any length', async (t) => {
  const { body } = bodyOf();
  let read = 0;
  for (let nth = 0; nth < CHUNKS_FREE * 8; nth += 1) {
    body.push(new Uint8Array(CHUNK_BYTES_MIN));
    read += (await body.next())?.byteLength ?? 0;
  }
  t.notOk(body.isRefused());
  t.equal(read, CHUNKS_FREE * 8 * CHUNK_BYTES_MIN);
});
