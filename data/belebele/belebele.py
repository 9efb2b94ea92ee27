"""Belebele (https://arxiv.org/abs/2308.16884): 900 questions with four options on passages of FLORES-200, parallel in
122 languages and scripts; the official files are <FLORES code>.jsonl, also below data/. CC BY-SA 4.0.

    {"link": "https://…", "question_number": 1, "flores_passage": "The ferry leaves at noon. …", "question": "When …?",
     "mc_answer1": "At noon", "mc_answer2": "…", "mc_answer3": "…", "mc_answer4": "…", "correct_answer_num": "1",
     "dialect": "eng_Latn", "ds": "2023-05-03"}
"""

import datasets

from xllm import languages, prompts
from xllm.errors import unknown
from xllm.loading import multiple_choice

# of a language in several scripts, its usual one comes first
FLORES = """
    acm_Arab afr_Latn als_Latn amh_Ethi apc_Arab arb_Arab arb_Latn ars_Arab ary_Arab arz_Arab asm_Beng azj_Latn
    bam_Latn ben_Beng ben_Latn bod_Tibt bul_Cyrl cat_Latn ceb_Latn ces_Latn ckb_Arab dan_Latn deu_Latn ell_Grek
    eng_Latn est_Latn eus_Latn fin_Latn fra_Latn fuv_Latn gaz_Latn grn_Latn guj_Gujr hat_Latn hau_Latn heb_Hebr
    hin_Deva hin_Latn hrv_Latn hun_Latn hye_Armn ibo_Latn ilo_Latn ind_Latn isl_Latn ita_Latn jav_Latn jpn_Jpan
    kac_Latn kan_Knda kat_Geor kaz_Cyrl kea_Latn khk_Cyrl khm_Khmr kin_Latn kir_Cyrl kor_Hang lao_Laoo lin_Latn
    lit_Latn lug_Latn luo_Latn lvs_Latn mal_Mlym mar_Deva mkd_Cyrl mlt_Latn mri_Latn mya_Mymr nld_Latn nob_Latn
    npi_Deva npi_Latn nso_Latn nya_Latn ory_Orya pan_Guru pbt_Arab pes_Arab plt_Latn pol_Latn por_Latn ron_Latn
    rus_Cyrl shn_Mymr sin_Sinh sin_Latn slk_Latn slv_Latn sna_Latn snd_Arab som_Latn sot_Latn spa_Latn srp_Cyrl
    ssw_Latn sun_Latn swe_Latn swh_Latn tam_Taml tel_Telu tgk_Cyrl tgl_Latn tha_Thai tir_Ethi tsn_Latn tso_Latn
    tur_Latn ukr_Cyrl urd_Arab urd_Latn uzn_Latn vie_Latn war_Latn wol_Latn xho_Latn yor_Latn zho_Hans zho_Hant
    zsm_Latn zul_Latn
"""
CODES = FLORES.split()
SHORT = {languages.short(code[:3]): code for code in reversed(CODES)}
WIDER = {"acm": "ar", "apc": "ar", "fuv": "ff", "pbt": "ps"}  # for varieties whose names CLDR doesn't know

FILES = {datasets.Split.TEST: ("data/{}.jsonl", "{}.jsonl")}
OPTIONS = {letter: f"mc_answer{number}" for number, letter in enumerate(prompts.LETTERS, start=1)}
MEANINGS = {str(number): letter for number, letter in enumerate(prompts.LETTERS, start=1)}
COLUMNS = ("flores_passage", "question", *OPTIONS.values(), "correct_answer_num")


class BelebeleConfig(datasets.BuilderConfig):
    """`config` is the FLORES code, as in belebele_zho_Hans, or the language code, as in belebele_zh."""

    def __init__(self, config: str, **kwargs):
        super().__init__(**kwargs)
        self.code = SHORT.get(config, config)
        if self.code not in CODES:
            raise unknown("language of belebele", config, CODES)
        short = languages.short(self.code[:3])
        self.language = WIDER.get(short, short)


class Belebele(datasets.GeneratorBasedBuilder):
    BUILDER_CONFIG_CLASS = BelebeleConfig
    TASK = "label"

    def _info(self):
        return datasets.DatasetInfo(
            features=multiple_choice.FEATURES, homepage="https://github.com/facebookresearch/belebele"
        )

    def _split_generators(self, dl_manager):
        return multiple_choice.splits(self.base_path, FILES, self.config.code)

    def _generate_examples(self, path, split):
        for key, row in enumerate(multiple_choice.objects(path, COLUMNS)):
            fields = row[1]
            options = {letter: fields[column] for letter, column in OPTIONS.items()}
            question = prompts.choice(
                "belebele", passage=fields["flores_passage"], question=fields["question"], **options
            )
            output = multiple_choice.right(row, "correct_answer_num", MEANINGS, split)
            yield multiple_choice.record(key, question, output, prompts.LETTERS)
