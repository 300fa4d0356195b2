/*
 * sha256_twice.c
 *	  SHA-256's compression of the same blocks into two states, for the price of one.
 */
#include "sha256_twice.h"

#if defined(__x86_64__)

#include <cpuid.h>
#include <immintrin.h>

#define SHA_TARGET __attribute__((target("sha,sse4.1")))

/* FIPS 180-4, 4.2.2 */
static const uint32_t round_constants[64] __attribute__((aligned(16))) = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
	0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
	0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
	0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

/* The eight words a to h in the order that the instructions want. */
typedef struct State
{
	__m128i abef;
	__m128i cdgh;
} State;

bool
sha256_twice_available(void)
{
	const unsigned sha = 1u << 29;
	unsigned	   a, b, c, d;

	if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_SSE4_1))
		return false;
	return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & sha);
}

SHA_TARGET static inline State
load(const uint32_t words[8])
{
	__m128i abcd = _mm_loadu_si128((const __m128i *) words);
	__m128i efgh = _mm_loadu_si128((const __m128i *) (words + 4));
	__m128i badc = _mm_shuffle_epi32(abcd, 0xb1);
	__m128i hgfe = _mm_shuffle_epi32(efgh, 0x1b);

	return (State){_mm_alignr_epi8(badc, hgfe, 8), _mm_blend_epi16(hgfe, badc, 0xf0)};
}

SHA_TARGET static inline void
save(uint32_t words[8], State state)
{
	__m128i feba = _mm_shuffle_epi32(state.abef, 0x1b);
	__m128i dchg = _mm_shuffle_epi32(state.cdgh, 0xb1);

	_mm_storeu_si128((__m128i *) words, _mm_blend_epi16(feba, dchg, 0xf0));
	_mm_storeu_si128((__m128i *) (words + 4), _mm_alignr_epi8(dchg, feba, 8));
}

SHA_TARGET static inline State
add(State one, State other)
{
	return (State){_mm_add_epi32(one.abef, other.abef), _mm_add_epi32(one.cdgh, other.cdgh)};
}

SHA_TARGET static inline State
four_rounds(State state, __m128i scheduled)
{
	state.cdgh = _mm_sha256rnds2_epu32(state.cdgh, state.abef, scheduled);
	state.abef = _mm_sha256rnds2_epu32(state.abef, state.cdgh, _mm_shuffle_epi32(scheduled, 0x0e));
	return state;
}

/* The next four words of the message schedule, from the last sixteen. */
SHA_TARGET static inline __m128i
next_words(__m128i first, __m128i second, __m128i third, __m128i fourth)
{
	__m128i sum = _mm_add_epi32(_mm_sha256msg1_epu32(first, second), _mm_alignr_epi8(fourth, third, 4));

	return _mm_sha256msg2_epu32(sum, fourth);
}

SHA_TARGET void
sha256_twice(uint32_t one[8], uint32_t other[8], const unsigned char *blocks, size_t count)
{
	const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
	State		  first = load(one);
	State		  second = load(other);

	for (; count > 0; count--, blocks += SHA256_BLOCK)
	{
		State	first_before = first;
		State	second_before = second;
		__m128i words[4];

		for (int i = 0; i < 4; i++)
			words[i] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *) blocks + i), big_endian);
#pragma GCC unroll 16
		for (int i = 0; i < 16; i++)
		{
			__m128i scheduled =
				_mm_add_epi32(words[i % 4], _mm_load_si128((const __m128i *) round_constants + i));

			first = four_rounds(first, scheduled);
			second = four_rounds(second, scheduled);
			if (i < 12)
				words[i % 4] =
					next_words(words[i % 4], words[(i + 1) % 4], words[(i + 2) % 4], words[(i + 3) % 4]);
		}
		first = add(first, first_before);
		second = add(second, second_before);
	}
	save(one, first);
	save(other, second);
}

#else

bool
sha256_twice_available(void)
{
	return false;
}

void
sha256_twice(uint32_t one[8], uint32_t other[8], const unsigned char *blocks, size_t count)
{
	(void) one;
	(void) other;
	(void) blocks;
	(void) count;
}

#endif
