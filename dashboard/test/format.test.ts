import { describe, expect, it } from 'vitest';
import { ago, bitcoin, bytes, count, difficulty, duration, hashrate, longTime, milliseconds, pageAt, percent, plural, satoshi, shortened } from '../src/format';

describe('hash rates', () => {
  it('have three digits and a unit', () => {
    expect(hashrate(4.2e12)).toBe('4.2 TH/s');
    expect(hashrate(999)).toBe('999 H/s');
    expect(hashrate(999_500)).toBe('1 MH/s');
    expect(hashrate(123_456)).toBe('123 kH/s');
  });
  it('have units beyond all the network has, and go on beyond these', () => {
    expect(hashrate(7e20)).toBe('700 EH/s');
    expect(hashrate(7e21)).toBe('7 ZH/s');
    expect(hashrate(7e24)).toBe('7 YH/s');
    expect(hashrate(5e27)).toBe('5000 YH/s');
  });
  it('are never NaN or undefined', () => {
    for (const odd of [0, -1, Number.NaN, Number.POSITIVE_INFINITY]) expect(hashrate(odd)).toBe('0 H/s');
    expect(hashrate(null)).toBe('not known');
    expect(hashrate(undefined)).toBe('not known');
  });
});

describe('difficulties', () => {
  it('are short, however small or large', () => {
    expect(difficulty(1.5e9)).toBe('1.5 G');
    expect(difficulty(12)).toBe('12');
    expect(difficulty(0.0000305)).toBe('3.0e-5');
    expect(difficulty(0.25)).toBe('0.25');
    expect(difficulty(0)).toBe('none');
    expect(difficulty(null)).toBe('none');
  });
});

describe('amounts', () => {
  it('are exact to the satoshi', () => {
    expect(bitcoin(312_500_001)).toBe('3.12500001 BTC');
    expect(bitcoin(5_000_000_000)).toBe('50 BTC');
    expect(bitcoin(2_100_000_000_000_000)).toBe('21000000 BTC');
    expect(bitcoin(1)).toBe('0.00000001 BTC');
    expect(bitcoin(0)).toBe('0 BTC');
    expect(satoshi(1_234_567)).toBe('1,234,567 sat');
  });
});

describe('times of which nobody knows when', () => {
  it('are days or years where they are long', () => {
    expect(longTime(0.3)).toBe('less than a second');
    expect(longTime(90)).toBe('1 min 30 s');
    expect(longTime(3 * 86400)).toBe('3 days');
    expect(longTime(10 * 365.25 * 86400)).toBe('10 years');
    expect(longTime(1e15)).toBe('more than a million years');
    expect(longTime(Number.POSITIVE_INFINITY)).toBe('more than a million years');
  });
});

describe('percentages', () => {
  it('never round to all or nothing', () => {
    expect(percent(1, 3)).toBe('33.3 %');
    expect(percent(999_999, 1_000_000)).toBe('>99.9 %');
    expect(percent(1_000_000, 1_000_000)).toBe('100 %');
    expect(percent(1, 1_000_000)).toBe('<0.1 %');
    expect(percent(0, 5)).toBe('0 %');
    expect(percent(0, 0)).toBe('none yet');
  });
});

describe('times', () => {
  it('are told in two units', () => {
    expect(duration(0)).toBe('0 s');
    expect(duration(61)).toBe('1 min 1 s');
    expect(duration(3600)).toBe('1 h');
    expect(duration(90_061)).toBe('1 d 1 h');
    expect(duration(86_400 + 59)).toBe('1 d');
    expect(duration(null)).toBe('not known');
    expect(duration(-5)).toBe('0 s');
  });
  it('that have passed are told from now', () => {
    expect(ago(1)).toBe('just now');
    expect(ago(75)).toBe('1 min 15 s ago');
    expect(ago(null)).toBe('never');
  });
  it('of round trips are told as exactly as they matter', () => {
    expect(milliseconds(0.0004)).toBe('<1 ms');
    expect(milliseconds(0.0023)).toBe('2.3 ms');
    expect(milliseconds(0.0234)).toBe('23 ms');
    expect(milliseconds(1.5)).toBe('1,500 ms');
    expect(milliseconds(undefined)).toBe('not known');
  });
});

describe('texts', () => {
  it('have plurals', () => {
    expect(plural(1, 'miner')).toBe('1 miner');
    expect(plural(0, 'miner')).toBe('0 miners');
    expect(plural(2, 'is', 'are')).toBe('2 are');
    expect(count(1234567)).toBe('1,234,567');
    expect(bytes(1500)).toBe('1.5 kB');
  });
  it('are shortened in their middle', () => {
    expect(shortened('abcdefghij', 7)).toBe('abc…hij');
    expect(shortened('abc', 7)).toBe('abc');
  });
});

describe('pageAt', () => {
  it('stays on its page, and goes to the last one where the list has become shorter', () => {
    expect(pageAt(0, 0, 50)).toBe(0);
    expect(pageAt(0, 10, 50)).toBe(0);
    expect(pageAt(50, 51, 50)).toBe(50);
    expect(pageAt(50, 50, 50)).toBe(0);
    expect(pageAt(200, 120, 50)).toBe(100);
    expect(pageAt(100, 0, 50)).toBe(0);
  });
});
