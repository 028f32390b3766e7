/** The key by which a repeated submit finds the task that the first one created. Imports nothing: clients in browsers use it. */
export const IDEMPOTENCY_KEY_CHARACTERS_MAX = 128;
/** HTTP removes a space at either end of a header, and a line of a batch keeps it: such a key would be two. */
export const IDEMPOTENCY_KEY_PATTERN = '^[\\x21-\\x7e]([\\x20-\\x7e]*[\\x21-\\x7e])?$';
export const IDEMPOTENCY_KEY_WANTED = `1 to ${IDEMPOTENCY_KEY_CHARACTERS_MAX} printable ASCII characters, without a space at either end`;

const KEY = new RegExp(IDEMPOTENCY_KEY_PATTERN);

export const isIdempotencyKey = (key: string): boolean => key.length <= IDEMPOTENCY_KEY_CHARACTERS_MAX && KEY.test(key);
