import { ERROR_CODES } from '../core/errors/codes.ts';

console.log(Object.keys(ERROR_CODES));
