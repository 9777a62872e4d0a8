//! Windows of 77 tokens.

use musev::prompt::chunks::{CAPACITY, MAX_TOKENS, MAX_WINDOWS, WINDOW};
use musev::prompt::{PromptChunks, SpecialTokens, WeightedIds, chunk_batch, chunk_prompts};
use proptest::prelude::*;

const SPECIAL: SpecialTokens = SpecialTokens { bos: 99, eos: 100, pad: 98 };

fn tokens(count: usize) -> WeightedIds {
    WeightedIds {
        ids: (0..count).map(|i| (i % 90) as u32).collect(),
        weights: (0..count).map(|i| 0.5 + i as f32 / 64.0).collect(),
    }
}

#[test]
fn an_empty_prompt_takes_one_window() {
    let chunked = chunk_prompts(&tokens(0), None, SPECIAL);
    let mut window = [98; WINDOW];
    window[0] = 99;
    window[WINDOW - 1] = 100;
    let expected = PromptChunks { windows: vec![window], weights: vec![1.0; WINDOW] };
    assert_eq!(chunked.prompt, expected);
    assert_eq!(chunked.negative, None);
}

#[test]
fn the_longer_prompt_decides_the_number_of_windows() {
    for (prompt, negative, windows) in
        [(0, 0, 1), (1, 0, 1), (75, 75, 1), (76, 3, 2), (3, 76, 2), (16, 99, 2), (150, 0, 2)]
    {
        let chunked = chunk_prompts(&tokens(prompt), Some(&tokens(negative)), SPECIAL);
        assert_eq!(chunked.prompt.windows.len(), windows, "{prompt} and {negative} tokens");
        assert_eq!(chunked.negative.unwrap().windows.len(), windows);
    }
}

#[test]
fn a_batch_has_the_windows_of_its_longest_prompt() {
    let prompts = [tokens(3), tokens(160), tokens(80)];
    let batch = chunk_batch(&prompts, SPECIAL);
    let beside_the_longest =
        prompts.each_ref().map(|prompt| chunk_prompts(prompt, Some(&prompts[1]), SPECIAL).prompt);
    assert_eq!(batch, beside_the_longest);
    assert_eq!(batch[0].windows.len(), 3);
    assert_eq!(
        chunk_batch(&[tokens(7)], SPECIAL),
        [chunk_prompts(&tokens(7), None, SPECIAL).prompt]
    );
}

#[test]
fn long_prompts_are_cut_at_225_tokens() {
    let cut = chunk_prompts(&tokens(1000), Some(&tokens(4)), SPECIAL);
    assert_eq!(cut, chunk_prompts(&tokens(225), Some(&tokens(4)), SPECIAL));
    assert_eq!(cut.prompt.windows.len(), 3);
}

#[test]
fn a_run_has_one_weight() {
    let mut ids = WeightedIds::default();
    ids.push_run(&[3, 4], 1.5);
    ids.push_run(&[], 9.0);
    ids.push_run(&[5], 0.5);
    assert_eq!(ids, WeightedIds { ids: vec![3, 4, 5], weights: vec![1.5, 1.5, 0.5] });
}

proptest! {
    #[test]
    fn windows_hold_the_prompt_in_order(count in 0usize..400, negative in 0usize..400) {
        let prompt = tokens(count);
        let chunked = chunk_prompts(&prompt, Some(&tokens(negative)), SPECIAL);
        let windows = &chunked.prompt.windows;
        prop_assert!((1..=MAX_WINDOWS).contains(&windows.len()));
        prop_assert_eq!(chunked.prompt.weights.len(), WINDOW * windows.len());
        prop_assert!(windows.iter().all(|w| w[0] == SPECIAL.bos && w[WINDOW - 1] == SPECIAL.eos));

        let inner: Vec<u32> = windows.iter().flat_map(|w| w[1..=CAPACITY].to_vec()).collect();
        let weights: Vec<f32> =
            chunked.prompt.weights.chunks(WINDOW).flat_map(|w| w[1..=CAPACITY].to_vec()).collect();
        let kept = count.min(MAX_TOKENS);
        prop_assert_eq!(&inner[..kept], &prompt.ids[..kept]);
        prop_assert_eq!(&weights[..kept], &prompt.weights[..kept]);
        prop_assert!(inner[kept..].iter().all(|&id| id == SPECIAL.pad));
        prop_assert!(weights[kept..].iter().all(|&weight| weight == 1.0));
        prop_assert!(chunked.prompt.weights.chunks(WINDOW).all(|w| w[0] == 1.0 && w[76] == 1.0));
    }
}
