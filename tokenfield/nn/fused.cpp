// Eq. 4 to 9 of LAINR for blocks of coordinates that stay in a core's nearest cache: products of bfloat16 numbers,
// summed in float32, on the tiles of AMX; what follows a product (bias, features, ReLU, softmax) happens where its
// sums lie, before the next one. `tokenfield/nn/fused.py` packs the matrices, says what is computed, and calls this.
//
// Plain C at the seam (pointers and sizes), so that any C++ compiler builds it within a second or two.

#include <immintrin.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <algorithm>
#include <cstdlib>
#include <memory>

namespace {

typedef uint16_t bf16;
constexpr int BLOCK = 64;     // coordinates whose activations are in the cache at once
constexpr int LANES = 16;     // float32 numbers in a register; rows of a tile
constexpr int DEPTH = 32;     // bfloat16 numbers in a row of a tile
constexpr int WIDE = 16;      // numbers kept per value of a coordinate: one tile's columns

struct Matrix {               // (inputs, outputs), packed in tiles of 32 x 16, columns first
    const bf16* tiles;
    const float* bias;        // (outputs), or null
};

struct Feature {              // h_F(y, x) = ReLU(rows[y] + columns[x]), Eq. 3 on a grid; the bias is in the rows
    const float* rows;
    const float* columns;
};

struct Tables {               // what depends on the coordinates alone: of the query, then of every band
    int64_t width;            // W, columns of the grid
    const Feature* features;
};

struct Tokens {               // what depends on one instance's tokens, head by head
    const bf16* keys;         // (c, R), scaled such that exp2 of a score is what softmax sums
    const bf16* values;       // (R, c)
};

struct Sizes {
    int32_t dim, heads, tokens, bands, channels;
};

struct Weights {
    Matrix query;             // W of the queries
    const Matrix* modulate;   // W_m^(l) A_o of every band
    const Matrix* compose;    // W^(l), from the second band on
    const Matrix* out;        // f_out^(l), padded to 16 outputs
};

int up(int n, int to) { return (n + to - 1) / to * to; }

struct alignas(64) TileShapes {  // what the processor is told of its tiles: eight of 16 rows of 64 bytes
    uint8_t palette = 1, start = 0, reserved[14] = {};
    uint16_t bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
    uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

// a (BLOCK, inputs) times b: `then(row, column, sums)` gets 16 sums of a row at a time.
// `columns` 32: two column tiles at once; 16: one.
template <int columns, class Then>
inline void stripe(const bf16* a, int stride, const bf16* b, int depth, int n, Then then) {
    alignas(64) float sums[32 * columns];
    for (int m = 0; m < BLOCK; m += 32) {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
        for (int k = 0; k < depth; k++) {
            _tile_loadd(4, a + m * stride + k * DEPTH, 2 * stride);
            _tile_loadd(5, a + (m + 16) * stride + k * DEPTH, 2 * stride);
            _tile_loadd(6, b + k * DEPTH * LANES, 64);
            _tile_dpbf16ps(0, 4, 6);
            _tile_dpbf16ps(2, 5, 6);
            if constexpr (columns == 32) {
                _tile_loadd(7, b + (depth + k) * DEPTH * LANES, 64);
                _tile_dpbf16ps(1, 4, 7);
                _tile_dpbf16ps(3, 5, 7);
            }
        }
        _tile_stored(0, sums, 4 * columns);
        _tile_stored(2, sums + 16 * columns, 4 * columns);
        if constexpr (columns == 32) {
            _tile_stored(1, sums + 16, 4 * columns);
            _tile_stored(3, sums + 16 * columns + 16, 4 * columns);
        }
        for (int row = 0; row < 32; row++)
            for (int c = 0; c < columns; c += LANES) then(m + row, n + c, _mm512_load_ps(sums + row * columns + c));
    }
}

template <class Then>
inline void product(const bf16* a, int stride, const bf16* b, int inputs, int outputs, Then then) {
    const int depth = up(inputs, DEPTH) / DEPTH;
    int n = 0;
    for (; n + 32 <= outputs; n += 32) stripe<32>(a, stride, b + n * depth * DEPTH, depth, n, then);
    if (n < outputs) stripe<16>(a, stride, b + n * depth * DEPTH, depth, n, then);
}

inline __m512 widen(const bf16* x) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i*)x)), 16));
}

inline void narrow(bf16* to, __m512 x) { _mm256_storeu_si256((__m256i*)to, (__m256i)_mm512_cvtneps_pbh(x)); }

inline __m512 relu(__m512 x) { return _mm512_max_ps(x, _mm512_setzero_ps()); }

// 2^x for x <= 0 to four parts in a million, far below a step of bfloat16.
inline __m512 exp2_(__m512 x) {
    const __m512 whole = _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    const __m512 f = _mm512_sub_ps(x, whole);
    __m512 p = _mm512_set1_ps(0.009618129f);
    for (float c : {0.05550411f, 0.2402265f, 0.6931472f, 1.0f}) p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(c));
    return _mm512_scalef_ps(p, whole);
}

struct Free { void operator()(void* x) const { free(x); } };
template <class T> using Buffer = std::unique_ptr<T[], Free>;

template <class T> Buffer<T> zeros(size_t n) {  // on a cache line's edge, as rows of tiles should be
    const size_t bytes = (n * sizeof(T) + 63) / 64 * 64;
    return Buffer<T>((T*)memset(aligned_alloc(64, bytes), 0, bytes));
}

// One thread's buffers, and the equations over a block of coordinates.
struct Decoder {
    const Sizes& size;
    const Weights& weights;
    const int dim, head, padded, stride;  // padded: tokens; stride: of activations, with room for a tile past the end
    Buffer<bf16> hidden, query, shares, m, sum;
    Buffer<float> scores, total, values;
    const float* row_of[BLOCK];
    const float* column_of[BLOCK];
    int64_t rows[BLOCK], columns[BLOCK];
    int count = 0;

    Decoder(const Sizes& size, const Weights& weights)
        : size(size), weights(weights), dim(size.dim), head(size.dim / size.heads), padded(up(size.tokens, 32)),
          stride(size.dim + DEPTH), hidden(zeros<bf16>(BLOCK * stride)), query(zeros<bf16>(BLOCK * stride)),
          shares(zeros<bf16>(BLOCK * padded)), m(zeros<bf16>(BLOCK * stride)), sum(zeros<bf16>(BLOCK * stride)),
          scores(zeros<float>(BLOCK * padded)), total(zeros<float>(BLOCK)), values(zeros<float>(BLOCK * WIDE)) {}

    void place(const Tables& at, int64_t first, int64_t last) {
        count = int(last - first);
        for (int i = 0; i < count; i++) rows[i] = (first + i) / at.width, columns[i] = (first + i) % at.width;
        for (int i = count; i < BLOCK; i++) rows[i] = rows[0], columns[i] = columns[0];
    }

    void look_up(const Feature& feature) {
        for (int i = 0; i < BLOCK; i++) row_of[i] = feature.rows + rows[i] * dim, column_of[i] = feature.columns + columns[i] * dim;
    }

    __m512 feature(int i, int c) const {  // Eq. 3
        return relu(_mm512_add_ps(_mm512_loadu_ps(row_of[i] + c), _mm512_loadu_ps(column_of[i] + c)));
    }

    void queries(const Feature& of_query) {  // Eq. 4, and the queries' linear map
        look_up(of_query);
        for (int i = 0; i < BLOCK; i++)
            for (int c = 0; c < dim; c += LANES) narrow(&hidden[i * stride + c], feature(i, c));
        linear(hidden, weights.query, [&](int i, int c, __m512 x) { narrow(&query[i * stride + c], x); });
    }

    template <class Then>
    void linear(const Buffer<bf16>& x, const Matrix& matrix, Then then) {
        product(x.get(), stride, matrix.tiles, dim, dim, [&](int i, int c, __m512 y) {
            then(i, c, _mm512_add_ps(y, _mm512_loadu_ps(matrix.bias + c)));
        });
    }

    void attend(const Tokens& tokens) {  // Eq. 5, up to the output map
        for (int h = 0; h < size.heads; h++) {
            const bf16* keys = tokens.keys + int64_t(h) * up(head, DEPTH) * padded;
            const bf16* of_tokens = tokens.values + int64_t(h) * padded * head;
            product(&query[h * head], stride, keys, head, padded, [&](int i, int c, __m512 x) {
                _mm512_storeu_ps(&scores[i * padded + c], x);
            });
            for (int i = 0; i < BLOCK; i++) softmax(i);
            product(shares.get(), padded, of_tokens, padded, head, [&](int i, int c, __m512 x) {
                narrow(&m[i * stride + h * head + c], _mm512_mul_ps(x, _mm512_set1_ps(total[i])));
            });
        }
    }

    void softmax(int i) {  // shares before they are divided by their sum, of which `total` holds the inverse
        const float* score = &scores[i * padded];
        const int full = size.tokens / LANES * LANES, rest = size.tokens - full;
        const __mmask16 some = __mmask16((1u << rest) - 1);
        __m512 most = _mm512_set1_ps(-1e30f);
        for (int r = 0; r < full; r += LANES) most = _mm512_max_ps(most, _mm512_loadu_ps(score + r));
        if (rest) most = _mm512_mask_max_ps(most, some, most, _mm512_loadu_ps(score + full));
        const __m512 highest = _mm512_set1_ps(_mm512_reduce_max_ps(most));
        __m512 sums = _mm512_setzero_ps();
        for (int r = 0; r < padded; r += LANES) {
            const __mmask16 those = r < full ? __mmask16(0xffff) : r == full ? some : __mmask16(0);
            const __m512 share = _mm512_maskz_mov_ps(those, exp2_(_mm512_sub_ps(_mm512_loadu_ps(score + r), highest)));
            sums = _mm512_add_ps(sums, share);
            narrow(&shares[i * padded + r], share);
        }
        total[i] = 1.0f / _mm512_reduce_add_ps(sums);
    }

    void bands(const Feature* features) {  // Eq. 6 to 9
        for (int l = 0; l < size.bands; l++) {
            look_up(features[l]);
            Buffer<bf16>& band = l ? sum : hidden;
            linear(m, weights.modulate[l], [&](int i, int c, __m512 x) {
                __m512 value = relu(_mm512_add_ps(x, feature(i, c)));                               // Eq. 7
                if (l) value = _mm512_add_ps(value, widen(&hidden[i * stride + c]));
                narrow(&band[i * stride + c], value);
            });
            if (l) linear(sum, weights.compose[l - 1], [&](int i, int c, __m512 x) {
                narrow(&hidden[i * stride + c], relu(x));                                           // Eq. 8
            });
            product(hidden.get(), stride, weights.out[l].tiles, dim, WIDE, [&](int i, int c, __m512 x) {
                float* value = &values[i * WIDE];
                const __m512 before = l ? _mm512_loadu_ps(value) : _mm512_setzero_ps();
                _mm512_storeu_ps(value, _mm512_add_ps(before, _mm512_add_ps(x, _mm512_loadu_ps(weights.out[l].bias))));  // Eq. 9
            });
        }
    }
};

}  // namespace

// Whether this process may use tiles of bfloat16: the kernel of the system gives them on request. 0: yes.
extern "C" int32_t ready() { return int32_t(syscall(SYS_arch_prctl, 0x1023, 18)); }

// Values (last - first, channels) of the coordinates first .. last - 1 of a grid, row-major, of one instance.
extern "C" void decode(const Sizes* size, const Weights* weights, const Tables* tables, const Tokens* tokens,
                       int64_t first, int64_t last, float* values) {
    TileShapes shapes, before;
    _tile_storeconfig(&before);  // somebody else's, torch's perhaps: given back at the end
    _tile_loadconfig(&shapes);
    Decoder decoder(*size, *weights);
    for (int64_t at = first; at < last; at += BLOCK) {
        decoder.place(*tables, at, std::min<int64_t>(at + BLOCK, last));
        decoder.queries(tables->features[0]);
        decoder.attend(*tokens);
        decoder.bands(tables->features + 1);
        for (int i = 0; i < decoder.count; i++, values += size->channels)
            memcpy(values, &decoder.values[i * WIDE], sizeof(float) * size->channels);
    }
    if (before.palette) _tile_loadconfig(&before);
    else _tile_release();
}
